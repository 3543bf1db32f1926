"""What is started as the deployed function: the source tree with this venv's packages, or an unpacked package."""

import compileall
import sysconfig
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from onnxlet.errors import InvalidRequestError
from onnxlet_cli.assets import functions_folder

SITE_PACKAGES = Path(sysconfig.get_path("purelib"))
REFERENCES = Path(__file__).with_name("baselines")

INTERFACE_CLIENT = ("awslambdaric", "runtime_client", "simplejson", "snapshot_restore_py")
"""What Lambda's own image has, and no package brings."""

PYTHON = ("python", "-S")
"""Without the venv's `.pth` files, which take 7 ms and which no deployed function has; for every reference alike."""


@dataclass(frozen=True)
class Deployment:
    """A folder that is started, and where it finds what it imports."""

    folder: Path
    python_path: Path
    title: str
    """For the report."""


def source_tree() -> Deployment:
    """`functions/` as it is, with its bytecode written, and this venv's packages."""
    for folder in (functions_folder(), REFERENCES):
        compileall.compile_dir(folder, quiet=1)
    return Deployment(functions_folder(), SITE_PACKAGES, "functions/ with the packages of this venv")


def unpacked(package: Path, scratch: Path) -> Deployment:
    """A package of `onnxlet package`, a zip or a folder, with nothing of this venv but Lambda's runtime client.

    Args:
        package: The zip or the folder.
        scratch: An empty folder, for what is unpacked.

    Raises:
        InvalidRequestError: it is no zip, or has no `main.py`.
    """
    folder = package.absolute()
    if package.is_file():
        folder = scratch.absolute() / "package"
        try:
            with zipfile.ZipFile(package) as archive:
                archive.extractall(folder)
        except (zipfile.BadZipFile, EOFError, zlib.error, NotImplementedError, ValueError) as error:
            raise InvalidRequestError(f"--package {package}: expected a zip, got: {error}") from error
    if not (folder / "main.py").exists():
        raise InvalidRequestError(f"--package {package}: expected a package of `onnxlet package`, with a main.py in it")
    return Deployment(folder, _interface_client(scratch), f"{package.name}, unpacked")


def open_deployment(package: Path | None, scratch: Path) -> Deployment:
    """The package where there is one, else the source tree; raises as `unpacked`."""
    return source_tree() if package is None else unpacked(package, scratch)


def _interface_client(scratch: Path) -> Path:
    """A folder with Lambda's runtime client and nothing else."""
    folder = scratch.absolute() / "runtime"
    folder.mkdir()
    for entry in SITE_PACKAGES.iterdir():
        if entry.name.partition(".")[0] in INTERFACE_CLIENT:
            (folder / entry.name).symlink_to(entry)
    return folder
