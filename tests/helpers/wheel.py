"""onnxruntime's wheel as it is on a machine where its shared library is missing."""

from importlib.metadata import distribution
from pathlib import Path

from onnxlet.session import library


def without_library(folder: Path) -> Path:
    """Make a folder for `PYTHONPATH` with links to all of onnxruntime but the library that the C API is in."""
    package = Path(str(distribution("onnxruntime").locate_file("onnxruntime")))
    capi = folder / library.FOLDER
    capi.mkdir(parents=True)
    for source in [*package.iterdir(), *(package / "capi").iterdir()]:
        if source.name != "capi" and not source.name.startswith(library.PREFIX):
            (folder / source.relative_to(package.parent)).symlink_to(source)
    return folder
