import json
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from onnxlet_cli.assets import functions_folder
from onnxlet_cli.package.materials import Material, read_materials, write_bill
from onnxlet_cli.package.wheels import Pin, read_pins
from tests.cli.package.installed import copy_installed
from tests.cli.package.test_build import HERE

PINS = read_pins(functions_folder() / "requirements.txt")


def install(folder: Path, name: str, metadata: str, wheel: str = "") -> Pin:
    """What an installer leaves of a distribution of version 1.0."""
    path = folder / f"{name}-1.0.dist-info"
    path.mkdir(parents=True)
    (path / "METADATA").write_text(f"Metadata-Version: 2.4\nName: {name}\nVersion: 1.0\n{metadata}")
    (path / "WHEEL").write_text(f"Wheel-Version: 1.0\n{wheel}")
    return Pin(name, "1.0", ("ab" * 32,))


def test_the_bill_of_all_that_is_deployed_is_valid_and_the_same_each_time(tmp_path: Path) -> None:
    copy_installed(PINS, HERE, tmp_path / "tree")
    write_bill(tmp_path / "one", "cd" * 32, read_materials(tmp_path / "tree", PINS))
    write_bill(tmp_path / "other", "cd" * 32, read_materials(tmp_path / "tree", PINS[::-1]))
    text = (tmp_path / "one").read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    assert text == (tmp_path / "other").read_text()
    bill = json.loads(text)
    assert {each["name"]: each["version"] for each in bill["components"]} == {pin.name: pin.version for pin in PINS}
    assert bill["dependencies"][0]["dependsOn"] == [each["bom-ref"] for each in bill["components"]]


def test_a_bill_of_what_the_cloud_installs_is_valid_too(tmp_path: Path) -> None:
    write_bill(tmp_path / "bill", "cd" * 32, [Material(pin) for pin in PINS])
    text = (tmp_path / "bill").read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    component = json.loads(text)["components"][0]
    assert component["purl"] == f"pkg:pypi/{PINS[0]}".replace("==", "@")
    assert [each["content"] for each in component["externalReferences"][0]["hashes"]] == list(PINS[0].hashes)


@pytest.mark.parametrize(
    ("metadata", "licences"),
    [
        ("License-Expression: MIT OR Apache-2.0\nLicense: other\n", [{"expression": "MIT OR Apache-2.0"}]),
        ("License: BSD\n", [{"license": {"name": "BSD"}}]),
        (f"License: {'x' * 81}\n", None),
        ("License: line\n        line\nClassifier: License :: OSI Approved :: MIT License\n", "MIT License"),
        (
            "Classifier: Topic :: X\nClassifier: License :: OSI Approved :: Apache Software License\n",
            "Apache Software License",
        ),
        ("", None),
    ],
)
def test_a_licence_is_what_the_wheel_says(
    tmp_path: Path, metadata: str, licences: list[dict[str, object]] | str | None
) -> None:
    (material,) = read_materials(tmp_path, [install(tmp_path, "fake", metadata)])
    expected = [{"license": {"name": licences}}] if isinstance(licences, str) else licences
    assert material.to_component().get("licenses") == expected


def test_a_wheel_is_known_by_its_name(tmp_path: Path) -> None:
    tags = "Tag: cp313-cp313-manylinux_2_27_aarch64\nTag: cp313-cp313-manylinux_2_28_aarch64\n"
    pin = install(tmp_path, "fake_one", "", tags)
    (material,) = read_materials(tmp_path, [pin])
    name = "fake_one-1.0-cp313-cp313-manylinux_2_27_aarch64.manylinux_2_28_aarch64.whl"
    assert (material.file_name, material.purl) == (name, f"pkg:pypi/fake-one@1.0?file_name={name}")
