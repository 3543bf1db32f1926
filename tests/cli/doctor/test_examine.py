from pathlib import Path

import pytest

from onnxlet_cli.doctor.examine import examine
from onnxlet_cli.doctor.machine import Machine


@pytest.fixture
def here(tmp_path: Path) -> Machine:
    """A machine whose ONNX Runtime is missing."""
    return Machine((3, 13), "linux", "x86_64", (tmp_path,), tmp_path / "requirements.txt", {})


def test_the_machine_is_checked_before_the_target(here: Machine, folder: Path) -> None:
    codes = [finding.code for finding in examine(str(folder), here=here)]
    assert codes.index("onnxruntime_missing") < codes.index("registry")


def test_no_graph_is_loaded_on_a_machine_whose_runtime_is_broken(here: Machine, folder: Path) -> None:
    assert "golden" not in {finding.code for finding in examine(str(folder), here=here)}


def test_a_file_of_a_model_is_not_a_target(here: Machine) -> None:
    (finding,) = [finding for finding in examine("model.onnx", here=here) if finding.code == "registry_url"]
    assert finding.remedy.startswith("onnxlet publish model.onnx")


def test_a_package_is_known_by_its_name(here: Machine, tmp_path: Path) -> None:
    codes = {finding.code for finding in examine(str(tmp_path / "missing.zip"), here=here)}
    assert "package_unreadable" in codes
