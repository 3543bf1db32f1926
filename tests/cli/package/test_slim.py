from fnmatch import fnmatchcase
from importlib.metadata import files
from pathlib import Path

import pytest

from onnxlet_cli.errors import PackageError
from onnxlet_cli.package import elf, slim
from onnxlet_cli.package.slim import Rule, rule_for
from onnxlet_cli.package.target import Target
from onnxlet_publishing.errors import UsageError
from tests.cli.package import fake_elf

ARM = Target("aws", "arm64", "3.13")
CORE = "onnxruntime/capi/libonnxruntime.so.1.31.1"


def write_tree(folder: Path, content: dict[str, bytes]) -> Path:
    for name, data in content.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def names(folder: Path) -> set[str]:
    return {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}


def test_the_engine_c_keeps_the_library_alone_of_onnxruntime_and_its_notices(tmp_path: Path) -> None:
    kept = {CORE, "onnxruntime/LICENSE", "onnxruntime/ThirdPartyNotices.txt", "onnxruntime/Privacy.md"}
    kept |= {"onnxruntime-1.31.1.dist-info/METADATA", "obstore/store.py"}
    gone = {"onnxruntime/__init__.py", "onnxruntime/tools/x.py", "onnxruntime-1.31.1.dist-info/RECORD"}
    tree = write_tree(tmp_path, dict.fromkeys(kept | gone, b"x" * 100))
    left_out = slim.slim(tree, ARM, "c")
    assert names(tree) == kept
    assert sum(left_out.values()) == 300


def test_the_engine_python_keeps_its_package_and_leaves_the_second_copy_out(tmp_path: Path) -> None:
    kept = {"onnxruntime/__init__.py", "onnxruntime/capi/libonnxruntime_providers_shared.so", "numpy/__init__.py"}
    gone = {CORE, "onnxruntime/transformers/x.py", "numpy/f2py/x.py", "numpy/lib/tests/test_x.py", "numpy/x.pyi"}
    tree = write_tree(tmp_path, dict.fromkeys(kept | gone, b""))
    slim.slim(tree, ARM, "python")
    assert names(tree) == kept


@pytest.mark.parametrize(
    "path",
    [
        "x-1.0.dist-info/licenses/src/deep/terms.txt",
        "x-1.0.dist-info/sboms/x.cdx.json",
        "x-1.0.dist-info/LICENSE",
        "numpy/random/LICENSE.md",
        "x/tests/NOTICE",
    ],
)
def test_a_licence_is_never_left_out(path: str) -> None:
    assert rule_for(path, [Rule("*", "everything")]) is None


def test_a_module_that_is_only_named_like_a_licence_may_be() -> None:
    assert rule_for("x/license_check.py", [Rule("*", "everything")]) is not None


def test_bundled_libraries_stay_where_a_kept_one_loads_them_by_whatever_way(tmp_path: Path) -> None:
    tree = write_tree(
        tmp_path,
        {
            "PIL/_webp.so": fake_elf.library(needed=["libwebp-1.so", "libc.so.6"]),
            "PIL/_avif.so": fake_elf.library(needed=["libavif-1.so", "libwebp-1.so"]),
            "pillow.libs/libwebp-1.so": fake_elf.library(needed=["libsharpyuv-1.so"]),
            "pillow.libs/libsharpyuv-1.so": fake_elf.library(needed=["libwebp-1.so"]),
            "pillow.libs/libavif-1.so": fake_elf.library(needed=["libonly-avif.so"]),
            "pillow.libs/libonly-avif.so": fake_elf.library(),
        },
    )
    slim.slim(tree, ARM, "c")
    assert names(tree) == {"PIL/_webp.so", "pillow.libs/libwebp-1.so", "pillow.libs/libsharpyuv-1.so"}


def test_a_wheel_for_another_processor_is_refused(tmp_path: Path) -> None:
    tree = write_tree(tmp_path, {"x/core.bin": fake_elf.library(elf.X86_64)})
    with pytest.raises(PackageError, match=r"x/core\.bin: expected a library for aarch64, got one for x86_64"):
        slim.slim(tree, ARM, "c")


def test_a_wheel_that_is_built_otherwise_is_refused_and_not_broken_by_our_rules(tmp_path: Path) -> None:
    state = "onnxruntime/capi/onnxruntime_pybind11_state.so"
    libraries = {state: fake_elf.library(needed=[Path(CORE).name]), CORE: fake_elf.library()}
    with pytest.raises(PackageError, match=rf"{state}: loads libonnxruntime\.so\.1\.31\.1, which slim\.py removes"):
        slim.slim(write_tree(tmp_path, libraries), ARM, "python")


@pytest.mark.parametrize(
    ("engine", "without", "left_out"),
    [("c", [], {"numpy"}), ("c", ["pillow", "numpy"], {"numpy", "pillow"}), ("python", ["pillow"], {"pillow"})],
)
def test_numpy_goes_with_the_python_engine_alone(engine: str, without: list[str], left_out: set[str]) -> None:
    assert slim.left_out_distributions(engine, without) == left_out | {*slim.ASKED_FOR}


@pytest.mark.parametrize(
    ("engine", "without", "text"),
    [
        ("rust", [], "--engine rust: expected c or python"),
        ("c", ["obstore"], "--without obstore: expected some of numpy, pillow"),
        ("python", ["numpy"], "--without numpy: the Python engine needs it"),
    ],
)
def test_what_the_functions_need_cannot_be_left_out(engine: str, without: list[str], text: str) -> None:
    with pytest.raises(UsageError, match=text):
        slim.left_out_distributions(engine, without)


@pytest.mark.parametrize(
    ("distribution", "rules"),
    [
        ("onnxruntime", slim.ONNXRUNTIME["c"]),
        ("onnxruntime", slim.ONNXRUNTIME["python"]),
        ("numpy", slim.NUMPY),
        ("pillow", slim.PILLOW),
    ],
)
def test_no_rule_and_no_exception_has_died_with_a_new_release(distribution: str, rules: tuple[Rule, ...]) -> None:
    paths = [str(file) for file in files(distribution) or []]
    dead = [rule.pattern for rule in rules if not any(rule_for(path, [rule]) for path in paths)]
    assert dead == []
    exceptions = [pattern for rule in rules for pattern in rule.unless]
    assert [pattern for pattern in exceptions if not any(fnmatchcase(path, pattern) for path in paths)] == []
