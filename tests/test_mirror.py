"""The tests mirror the code by name.

A test file `tests/a/test_b.py`, or `test_b_TOPIC.py`, tests the module or the package `b` of the folder `a`. The file
of a package may also lie in the package's own folder.
"""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = {
    "functions": ROOT / "functions/onnxlet",
    "publishing": ROOT / "publishing/onnxlet_publishing",
    "training": ROOT / "training/onnxlet_training",
    "cli": ROOT / "cli/onnxlet_cli",
}
MAX_TEST_LINES = 400
MAX_LINES = 350


def modules() -> list[tuple[str, Path]]:
    """Return each module of the product with the name that its tests have below `tests/`."""
    return [
        (f"{name}/{path.relative_to(package).with_suffix('')}", path)
        for name, package in FOLDERS.items()
        for path in sorted(package.rglob("*.py"))
    ]


def files_of(module: str) -> list[Path]:
    """Return the test files of a module, named with its path below `tests/`."""
    folder, name = (ROOT / "tests" / module).parent, module.rpartition("/")[2].strip("_")
    return [path for path in folder.glob(f"test_{name}*.py") if path.stem == f"test_{name}" or _is_topic(path, name)]


def _is_topic(path: Path, name: str) -> bool:
    return path.stem.startswith(f"test_{name}_")


def test_a_test_file_has_the_name_of_a_module_or_a_package() -> None:
    modules_and_packages = {name for module, _ in modules() for name in (module, module.removesuffix("/__init__"))}
    names = modules_and_packages | {f"{name}/{name.rpartition('/')[2]}" for name in modules_and_packages}
    known = {test for name in names | {"functions/main"} for test in files_of(name)}
    written = {path for name in FOLDERS for path in (ROOT / "tests" / name).rglob("test_*.py")}
    assert sorted(str(path.relative_to(ROOT)) for path in written - known) == []


@pytest.mark.parametrize("path", [path for _, path in modules()], ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_is_short_enough_to_read(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MAX_LINES


@pytest.mark.parametrize("path", sorted(ROOT.glob("tests/**/test_*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_test_file_is_short_enough_to_read(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MAX_TEST_LINES
