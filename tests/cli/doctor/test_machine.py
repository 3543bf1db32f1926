from dataclasses import replace
from pathlib import Path

import pytest

from onnxlet_cli.doctor.machine import Machine, examine, examine_settings, pinned_onnxruntime
from onnxlet_cli.package import elf
from tests.cli.package.fake_elf import library
from tests.helpers.findings import one, only, wrong


def install(folder: Path, name: str, version: str, machine: int = elf.X86_64, package: str | None = None) -> None:
    """A distribution of one library."""
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    path = folder / (package or name) / "lib" / "native.so"
    path.parent.mkdir(parents=True)
    path.write_bytes(library(machine))


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine in order, for x86_64, with the two distributions that are deployed."""
    site, requirements = tmp_path / "site", tmp_path / "requirements.txt"
    requirements.write_text("onnxruntime==1.31.1\npillow==13.0.0\n")
    install(site, "onnxruntime", "1.31.1")
    install(site, "pillow", "13.0.0", package="PIL")
    return Machine((3, 13), "linux", "x86_64", (site,), requirements, {})


def reinstalled(machine: Machine, name: str, version: str, processor: int = elf.X86_64) -> Machine:
    """The same machine with another distribution before all others on its path."""
    folder = machine.folders[0].parent / f"{name}-{version}-{processor}"
    install(folder, name, version, processor)
    return replace(machine, folders=(folder, *machine.folders))


def test_this_machine_is_in_order() -> None:
    found = list(examine(Machine.here()))
    assert wrong(found) == []
    assert {"python", "onnxruntime", "wheel_platform", "pins"} <= {finding.code for finding in found}


def test_a_machine_in_order_has_no_finding(machine: Machine) -> None:
    assert wrong(examine(machine)) == []


@pytest.mark.parametrize(
    ("python", "severity", "code"), [((3, 10), "error", "python_old"), ((3, 20), "warning", "python_new")]
)
def test_a_python_that_is_too_old_or_too_new_is_named(
    machine: Machine, python: tuple[int, int], severity: str, code: str
) -> None:
    only(examine(replace(machine, python=python)), severity, code, f"Python 3.{python[1]}", "3.11")


def test_a_missing_onnxruntime_is_named_with_the_pinned_version(machine: Machine, tmp_path: Path) -> None:
    empty = replace(machine, folders=(tmp_path / "empty",))
    only(examine(empty), "error", "onnxruntime_missing", "pip install 'onnxruntime==1.31.1'")


def test_an_old_onnxruntime_is_an_error_on_arm64_alone(machine: Machine) -> None:
    x86 = wrong(examine(reinstalled(machine, "onnxruntime", "1.25.2")))
    one(x86, "warning", "onnxruntime_old", "1.25.2", "1.26")
    arm = replace(reinstalled(machine, "onnxruntime", "1.24.0", elf.AARCH64), processor="aarch64")
    one(examine(arm), "error", "onnxruntime_old", "1.24.0", "aborts at import on arm64")


def test_a_wheel_for_another_processor_is_named_by_its_file(machine: Machine) -> None:
    found = reinstalled(machine, "onnxruntime", "1.31.1", elf.AARCH64)
    only(examine(found), "error", "wheel_platform", "native.so: aarch64", "expected x86_64", "--only-binary")


def test_a_file_that_is_no_library_at_all_is_named(machine: Machine) -> None:
    (machine.folders[0] / "onnxruntime" / "lib" / "native.so").write_bytes(b"<html>404</html>")
    only(examine(machine), "error", "wheel_platform", "not an ELF file")


def test_versions_other_than_the_deployed_are_named(machine: Machine) -> None:
    found = wrong(examine(reinstalled(machine, "onnxruntime", "1.30.0")))
    one(found, "warning", "pin_differs", "onnxruntime 1.30.0", "1.31.1", "pip install onnxruntime==1.31.1")


def test_requirements_that_cannot_be_read_are_named(machine: Machine, tmp_path: Path) -> None:
    only(examine(replace(machine, requirements=tmp_path / "none.txt")), "warning", "pins_unknown", "none.txt")
    assert pinned_onnxruntime(tmp_path / "none.txt") is None


def test_an_output_place_inside_an_input_place_is_named(machine: Machine) -> None:
    environment = {"ONNXLET_RESULTS": "s3://photos/in/results", "ONNXLET_INPUTS": "s3://photos/in"}
    only(examine(replace(machine, environment=environment)), "error", "settings_loop", "lies inside s3://photos/in")


def test_a_malformed_setting_is_named() -> None:
    environment = {"ONNXLET_REGISTRY": "file:///models", "ONNXLET_REFRESH_S": "soon"}
    only(examine_settings(environment, "here"), "error", "settings", "ONNXLET_REFRESH_S", "'soon'")
    only(examine_settings({}, "here"), "error", "settings", "ONNXLET_REGISTRY")
    assert wrong(examine_settings({"ONNXLET_REGISTRY": "file:///models"}, "here")) == []
