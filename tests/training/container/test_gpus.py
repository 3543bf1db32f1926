"""The GPUs and the driver of a container's host."""

import json
from pathlib import Path

import pytest

from tests.helpers.containers import start

OPEN = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  {}  Release Build  (builder@host)\nGCC version: 11\n"
CLOSED = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  {}  Fri Jan 10 20:00:00 UTC 2025\nGCC version: 11\n"


def loader_path(folder: Path, driver: str | None, libraries: list[str], before: str = "") -> str | None:
    """Return the child's LD_LIBRARY_PATH on a host with this driver, in an image with these cuda-compat libraries."""
    (folder / "compat").mkdir()
    for name in libraries:
        (folder / "compat" / name).touch()
    if driver is not None:
        (folder / "version").write_text(driver)
    places = {"DRIVER": str(folder / "version"), "COMPAT": str(folder / "compat"), "LD_LIBRARY_PATH": before}
    assert start(folder, ["--recipe=digits"], **places).wait(60) == 0
    found: str | None = json.loads((folder / "run/loader.json").read_text())
    return found


@pytest.mark.parametrize("driver", [OPEN.format("550.54.15"), CLOSED.format("535.183.01"), CLOSED.format("550.135")])
@pytest.mark.parametrize(("before", "after"), [("", ""), ("/opt/lib", ":/opt/lib")])
def test_an_older_driver_gets_cudas_compatibility_libraries_first(
    tmp_path: Path, driver: str, before: str, after: str
) -> None:
    libraries = ["libcuda.so", "libcuda.so.1", "libcuda.so.580.82.07", "libnvidia-ptxjitcompiler.so.580.82.07"]
    assert loader_path(tmp_path, driver, libraries, before) == f"{tmp_path / 'compat'}{after}"


@pytest.mark.parametrize(
    ("driver", "libraries"),
    [
        (OPEN.format("580.65.06"), ["libcuda.so.580.82.07"]),  # of the same branch, which has this CUDA itself
        (CLOSED.format("610.43.03"), ["libcuda.so.1", "libcuda.so.580.82.07"]),
        (OPEN.format("535.183.01"), []),
        (OPEN.format("535.183.01"), ["libcuda.so.1"]),
        ("something else\n", ["libcuda.so.580.82.07"]),
        (None, ["libcuda.so.580.82.07"]),
    ],
)
def test_no_other_driver_gets_them(tmp_path: Path, driver: str | None, libraries: list[str]) -> None:
    assert loader_path(tmp_path, driver, libraries, "/opt/lib") == "/opt/lib"
