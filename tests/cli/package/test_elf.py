from importlib.metadata import files
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxlet_cli.errors import PackageError
from onnxlet_cli.package import elf
from tests.cli.package import fake_elf


def test_what_a_library_is_for_and_loads_is_read() -> None:
    data = fake_elf.library(elf.AARCH64, ["libc.so.6", "libm.so.6"])
    assert elf.parse_library(data, "x.so") == elf.Library(elf.AARCH64, ("libc.so.6", "libm.so.6"))


def test_a_real_library_is_read_as_its_linker_wrote_it() -> None:
    extensions = [file for file in files("pillow") or [] if "_webp." in file.name and file.suffix == ".so"]
    library = elf.parse_library(Path(str(extensions[0].locate())).read_bytes(), "_webp.so")
    assert library.machine in elf.MACHINE_NAMES
    assert "libc.so.6" in library.needed
    assert any(name.startswith("libwebpdemux") for name in library.needed)


def test_an_object_without_a_dynamic_section_loads_nothing() -> None:
    data = fake_elf.library(elf.X86_64)
    static = data[: fake_elf.HEADER_BYTES + fake_elf.SEGMENT_BYTES] + bytes(fake_elf.SEGMENT_BYTES) + data[-40:]
    assert elf.parse_library(static, "x.so") == elf.Library(elf.X86_64, ())


@pytest.mark.parametrize("data", [b"", b"\x7fELF", b"\x7fELF\x01\x01" + bytes(60), b"PK\x03\x04" + bytes(60)])
def test_anything_else_is_refused_by_its_name(data: bytes) -> None:
    with pytest.raises(PackageError, match=r"lib/x\.so"):
        elf.parse_library(data, "lib/x.so")


@given(st.data())
def test_a_damaged_library_is_refused_or_read_and_never_breaks(data: st.DataObject) -> None:
    whole = bytearray(fake_elf.library(elf.X86_64, ["libc.so.6"]))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(6, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        library = elf.parse_library(bytes(whole[: data.draw(st.integers(0, len(whole)))]), "x.so")
    except PackageError as error:
        assert "x.so" in str(error)
    else:
        assert isinstance(library.machine, int)


def test_a_library_without_symbols_has_the_same_segments_and_loads() -> None:
    extensions = [file for file in files("tokenizers") or [] if file.suffix == ".so"]
    data = Path(str(extensions[0].locate())).read_bytes()
    kept = elf.without_symbols(data)
    assert len(kept) < 0.8 * len(data)
    assert data.startswith(kept[:40])
    assert kept[64:] == data[64 : len(kept)]
    assert elf.parse_library(kept, "x.so") == elf.parse_library(data, "x.so")
    assert elf.without_symbols(kept) == kept


def test_a_library_that_ends_with_its_segments_stays_whole() -> None:
    data = fake_elf.library(elf.X86_64, ["libc.so.6"])
    assert len(elf.without_symbols(data)) == len(data)
