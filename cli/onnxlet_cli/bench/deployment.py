"""The deployment that is measured: the source tree with this venv's packages, or an unpacked package."""

import compileall
import sysconfig
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from onnxlet_cli.assets import functions_folder
from onnxlet_publishing.errors import UsageError

SITE_PACKAGES = Path(sysconfig.get_path("purelib"))
BASELINES = Path(__file__).with_name("baselines")

INTERFACE_CLIENT = ("awslambdaric", "runtime_client", "simplejson", "snapshot_restore_py")
"""Modules of Lambda's own image, which no package contains."""

PYTHON = ("python", "-S")
"""Python without the venv's `.pth` files, which take 7 ms and which no deployed function has; baselines use it too."""


@dataclass(frozen=True)
class Deployment:
    """A folder with the functions, and the folder of the packages that they import."""

    folder: Path
    python_path: Path
    title: str
    """The deployment's name in the report."""

    @property
    def takes_texts(self) -> bool:
        """Whether the functions can import `tokenizers`, which only some packages have."""
        return any((place / "tokenizers").is_dir() for place in (self.folder, self.python_path))


def source_tree() -> Deployment:
    """Return `functions/` with its bytecode written, and this venv's packages."""
    for folder in (functions_folder(), BASELINES):
        compileall.compile_dir(folder, quiet=1)
    return Deployment(functions_folder(), SITE_PACKAGES, "functions/ with the packages of this venv")


def open_deployment(package: Path | None, scratch: Path) -> Deployment:
    """Return a package of `onnxlet package`, a zip or a folder, or the source tree without one.

    A zip is unpacked into the folder `scratch`. This venv adds only Lambda's runtime client.

    Raises:
        UsageError: The file is not a zip, or the package has no `main.py`.
    """
    if package is None:
        return source_tree()
    folder = package.absolute()
    if package.is_file():
        folder = scratch.absolute() / "package"
        try:
            with zipfile.ZipFile(package) as archive:
                archive.extractall(folder)
        except (zipfile.BadZipFile, EOFError, zlib.error, NotImplementedError, ValueError) as error:
            raise UsageError(f"--package {package}: expected a zip, got: {error}") from error
    if not (folder / "main.py").exists():
        raise UsageError(f"--package {package}: expected a package of `onnxlet package`, got one without main.py")
    return Deployment(folder, _interface_client(scratch), f"{package.name}, unpacked")


def _interface_client(scratch: Path) -> Path:
    """Make a folder that contains only Lambda's runtime client."""
    folder = scratch.absolute() / "runtime"
    folder.mkdir()
    for entry in SITE_PACKAGES.iterdir():
        if entry.name.partition(".")[0] in INTERFACE_CLIENT:
            (folder / entry.name).symlink_to(entry)
    return folder
