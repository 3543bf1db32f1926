"""The bill of materials: which distributions a package is made of, as CycloneDX tells it to scanners.

The same package has the same bytes of it: there is no time in it, and no random number. What a wheel's builder has put
into it is told by the wheel, in `*.dist-info/sboms/` inside the zip, where it tells that.

Source: CycloneDX 1.6 (ECMA-424), JSON; package URLs of type `pypi` (https://github.com/package-url/purl-spec).
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any
from urllib.parse import quote

from onnxlet import __version__
from onnxlet_cli.package.archive import OURS
from onnxlet_cli.package.wheels import Pin

SCHEMA = "http://cyclonedx.org/schema/bom-1.6.schema.json"

LICENCE = "Apache-2.0"
"""Ours."""

MAX_LICENCE_CHARACTERS = 80
"""Of a field that some distributions fill with the whole text."""


@dataclass(frozen=True)
class Material:
    """One distribution of a package."""

    pin: Pin
    file_name: str | None = None
    """The wheel's; None where the cloud chooses it."""
    expression: str | None = None
    """Its licence as an SPDX expression,"""
    licence: str | None = None
    """or in words; None where it says nothing."""

    @property
    def purl(self) -> str:
        """By which scanners know it."""
        name = f"pkg:pypi/{self.pin.name.lower().replace('_', '-')}@{self.pin.version}"
        return f"{name}?file_name={quote(self.file_name)}" if self.file_name else name

    def to_component(self) -> dict[str, Any]:
        """As CycloneDX has it. The hashes are the pinned ones: the installer has seen that it has one of them."""
        component: dict[str, Any] = {
            "type": "library",
            "bom-ref": self.purl,
            "name": self.pin.name,
            "version": self.pin.version,
            "purl": self.purl,
            "externalReferences": [
                {
                    "type": "distribution",
                    "url": f"https://pypi.org/project/{self.pin.name}/{self.pin.version}/",
                    "comment": "the SHA-256 of each file that it may be installed from",
                    "hashes": [{"alg": "SHA-256", "content": each} for each in self.pin.hashes],
                }
            ],
        }
        if self.expression:
            component["licenses"] = [{"expression": self.expression}]
        elif self.licence:
            component["licenses"] = [{"license": {"name": self.licence}}]
        return component


def read_materials(tree: Path, pins: Iterable[Pin]) -> list[Material]:
    """What was installed into a tree of these pins, by what the wheels say of themselves; by name."""
    found = {_normal(each.name): each for each in distributions(path=[str(tree)])}
    installed = sorted((pin for pin in pins if _normal(pin.name) in found), key=lambda pin: pin.name.lower())
    return [_read(pin, found[_normal(pin.name)]) for pin in installed]


def write_bill(path: Path, sha256: str, materials: Sequence[Material]) -> None:
    """Write the bill of materials of a zip.

    Args:
        path: Where it goes.
        sha256: The zip's.
        materials: What it is made of beside our own code.
    """
    ours = {
        "type": "application",
        "bom-ref": OURS,
        "name": OURS,
        "version": __version__,
        "hashes": [{"alg": "SHA-256", "content": sha256}],
        "licenses": [{"license": {"id": LICENCE}}],
    }
    document = {
        "$schema": SCHEMA,
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": ours},
        "components": [material.to_component() for material in materials],
        "dependencies": [{"ref": OURS, "dependsOn": [material.purl for material in materials]}],
    }
    path.write_text(json.dumps(document, indent=2) + "\n")


def _read(pin: Pin, found: Distribution) -> Material:
    metadata = found.metadata
    expression = next(iter(metadata.get_all("License-Expression") or []), None)
    classified = (_classified(each) for each in metadata.get_all("Classifier") or [])
    stated = [*(metadata.get_all("License") or []), *classified]
    licence = next((each for each in stated if each and "\n" not in each and len(each) <= MAX_LICENCE_CHARACTERS), None)
    return Material(pin, _file_name(pin, found.read_text("WHEEL") or ""), expression, None if expression else licence)


def _classified(classifier: str) -> str:
    kind, *_, name = classifier.split(" :: ")
    return name if kind == "License" else ""


def _file_name(pin: Pin, text: str) -> str | None:
    """A wheel's name, which its tags make up: each part of them once, with dots between."""
    tags = [line.removeprefix("Tag: ").split("-") for line in text.splitlines() if line.startswith("Tag: ")]
    if not tags:
        return None
    parts = (".".join(dict.fromkeys(column)) for column in zip(*tags, strict=True))
    return f"{pin.name.replace('-', '_')}-{pin.version}-{'-'.join(parts)}.whl"


def _normal(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")
