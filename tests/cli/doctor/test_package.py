import zipfile
from pathlib import Path

import pytest

from onnxlet_cli.doctor.package import MAX_UNZIPPED_BYTES, examine
from onnxlet_cli.package import elf
from tests.cli.package.fake_elf import library
from tests.helpers.findings import one, only, wrong

NAME = "onnxlet-aws-arm64-python3.13.zip"

SOUND = {
    "main.py": b"",
    "onnxruntime/capi/libonnxruntime.so.1.31.1": library(elf.AARCH64),
    "obstore/_obstore.abi3.so": library(elf.AARCH64),
    "orjson/orjson.cpython-313-aarch64-linux-gnu.so": library(elf.AARCH64),
}


def write(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def test_a_package_in_order_has_no_finding(tmp_path: Path) -> None:
    found = list(examine(write(tmp_path / NAME, SOUND)))
    assert wrong(found) == []
    one(found, "ok", "onnxruntime", "1.31.1")
    one(found, "ok", "wheel_platform", "libraries for aarch64: 3")


def test_a_library_for_another_processor_is_named(tmp_path: Path) -> None:
    files = SOUND | {"obstore/_obstore.abi3.so": library(elf.X86_64)}
    words = ("obstore/_obstore.abi3.so: x86_64", "expected aarch64", "onnxlet package --cloud aws --arch arm64")
    only(examine(write(tmp_path / NAME, files)), "error", "wheel_platform", *words)


def test_a_zip_of_any_name_is_for_the_processor_of_most_of_its_libraries(tmp_path: Path) -> None:
    files = SOUND | {"obstore/_obstore.abi3.so": library(elf.X86_64)}
    only(examine(write(tmp_path / "mine.zip", files)), "error", "wheel_platform", "obstore", "expected aarch64")


def test_an_onnxruntime_that_aborts_on_arm64_is_named(tmp_path: Path) -> None:
    files = dict(SOUND)
    files["onnxruntime/capi/libonnxruntime.so.1.25.0"] = files.pop("onnxruntime/capi/libonnxruntime.so.1.31.1")
    only(examine(write(tmp_path / NAME, files)), "error", "onnxruntime_old", "1.25.0", "aborts")
    intel = {name: library(elf.X86_64) if data else data for name, data in files.items()}
    path = write(tmp_path / "onnxlet-aws-x86_64-python3.13.zip", intel)
    only(examine(path), "warning", "onnxruntime_old", "1.25.0")


def test_a_package_without_onnxruntime_is_named(tmp_path: Path) -> None:
    files = {name: data for name, data in SOUND.items() if "onnxruntime" not in name}
    only(examine(write(tmp_path / NAME, files)), "error", "onnxruntime_missing")


def test_the_python_package_of_onnxruntime_says_its_version_too(tmp_path: Path) -> None:
    files = SOUND | {"onnxruntime-1.30.0.dist-info/METADATA": b""}
    del files["onnxruntime/capi/libonnxruntime.so.1.31.1"]
    one(examine(write(tmp_path / NAME, files)), "ok", "onnxruntime", "1.30.0")


def test_a_zipped_folder_is_told_from_its_content(tmp_path: Path) -> None:
    files = {f"package/{name}": data for name, data in SOUND.items()}
    found = examine(write(tmp_path / NAME, files))
    one(found, "error", "package_entry_missing", "package/main.py", "not the folder")


def test_libraries_of_another_python_are_named(tmp_path: Path) -> None:
    path = write(tmp_path / "onnxlet-aws-arm64-python3.12.zip", SOUND)
    only(examine(path), "error", "package_python", "for Python 3.13", "expected Python 3.12", "--python 3.12")


def test_a_package_that_lambda_does_not_take_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / NAME, SOUND | {"weights.bin": bytes(MAX_UNZIPPED_BYTES)})
    only(examine(path), "error", "package_large", "262 MB")


def test_source_alone_is_in_order(tmp_path: Path) -> None:
    assert wrong(examine(write(tmp_path / "onnxlet-gcp.zip", {"main.py": b"", "requirements.txt": b""}))) == []


@pytest.mark.parametrize("data", [b"no zip", None])
def test_what_is_no_zip_is_named(tmp_path: Path, data: bytes | None) -> None:
    path = tmp_path / NAME
    if data is not None:
        path.write_bytes(data)
    only(examine(path), "error", "package_unreadable", NAME)
