"""The files that the command needs besides its code: `main.py`, `requirements.txt`, `template.yaml` and `infra/`.

A checkout has them at its root. A wheel carries copies inside this package.
"""

import shutil
from functools import cache
from pathlib import Path

import onnxlet

_PACKAGED = Path(__file__).with_name("files")
"""The copies in a wheel; a checkout has no such folder."""

_ROOT = _PACKAGED if _PACKAGED.is_dir() else Path(__file__).parents[2]

_NOT_DEPLOYED = ("__pycache__", ".*", "*.pyc", "*.egg-info", "__main__.py", "py.typed", "requirements-text.txt")
"""Files next to the functions' code that are not deployed. A wheel adds two of them to the package `onnxlet`."""


def functions_folder() -> Path:
    """Return the folder with `main.py` and `requirements.txt`, in which the functions start."""
    return _ROOT / "functions"


def template_path() -> Path:
    """Return the path of the SAM template."""
    return _ROOT / "template.yaml"


def infra_folder() -> Path:
    """Return the folder with the Terraform configuration and the AWS policies."""
    return _ROOT / "infra"


def work_folder() -> Path:
    """Return the folder for tools and build results: the checkout, or the current folder if a wheel is installed."""
    return Path.cwd() if _ROOT == _PACKAGED else _ROOT


@cache
def deployment_folder() -> Path:
    """Return a writable folder with `template.yaml` and `infra/`: the checkout, or copies in `.onnxlet/deploy`.

    Files that the user adds to the copies stay; files of an older version of this package are removed.

    Raises:
        OSError: The copies cannot be written.
    """
    if _ROOT != _PACKAGED:
        return _ROOT
    folder = work_folder() / ".onnxlet" / "deploy"
    for old in folder.glob("infra/gcp/*.tf"):
        old.unlink()
    shutil.copytree(infra_folder(), folder / "infra", dirs_exist_ok=True)
    shutil.copy(template_path(), folder)
    return folder


def copy_functions(folder: Path) -> None:
    """Copy everything of ours that is deployed into a folder: the same files from a checkout and from a wheel."""
    ignore = shutil.ignore_patterns(*_NOT_DEPLOYED)
    shutil.copytree(functions_folder(), folder, ignore=ignore, dirs_exist_ok=True)
    if _ROOT == _PACKAGED:
        shutil.copytree(Path(onnxlet.__file__).parent, folder / "onnxlet", ignore=ignore)
