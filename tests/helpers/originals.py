"""The libraries whose results ours must equal, for tests that are skipped without them."""

import importlib.metadata
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest


def ultralytics(module: str, folder: Path) -> ModuleType:
    """Return a module of Ultralytics, or skip the test.

    Ultralytics reads the version of torchvision, and uses its code only where it is installed.

    Args:
        module: The name of the module below `ultralytics`.
        folder: A folder for Ultralytics' settings.
    """
    pytest.importorskip("torch", reason="needs `make torch`")
    pytest.importorskip("cv2", reason="needs opencv-python-headless")
    os.environ |= {"YOLO_CONFIG_DIR": str(folder), "YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false"}
    try:
        importlib.metadata.version("torchvision")
    except importlib.metadata.PackageNotFoundError:
        (folder / "torchvision-0.28.0.dist-info").mkdir(exist_ok=True)
        (folder / "torchvision-0.28.0.dist-info/METADATA").write_text("Name: torchvision\nVersion: 0.28.0\n")
        sys.path.append(str(folder))
    found: ModuleType = pytest.importorskip(f"ultralytics.{module}", reason="needs ultralytics")
    return found
