"""The bill of materials: the distributions in a package, in CycloneDX, which scanners read.

The same package has the same bill, byte for byte: it contains neither a time nor a random number. Libraries that a
wheel's builder bundled are in the wheel's own bill, `*.dist-info/sboms/` inside the zip, if the wheel has one.

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
"""The licence of our own code."""

MAX_LICENCE_CHARACTERS = 80
"""The longest licence name; some distributions put the whole text into the field."""


@dataclass(frozen=True)
class Material:
    """One distribution of a package."""

    pin: Pin
    file_name: str | None = None
    """The name of the wheel; None if the cloud chooses it."""
    expression: str | None = None
    """The licence as an SPDX expression."""
    licence: str | None = None
    """The licence in words; None if the distribution states no licence."""

    @property
    def purl(self) -> str:
        """The package URL, by which scanners identify it."""
        name = f"pkg:pypi/{self.pin.name.lower().replace('_', '-')}@{self.pin.version}"
        return f"{name}?file_name={quote(self.file_name)}" if self.file_name else name

    def to_component(self) -> dict[str, Any]:
        """Return the CycloneDX component with the pinned hashes, one of which the installer has checked."""
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
    """Return the pins that were installed into a tree, with the wheels' own metadata, sorted by name."""
    found = {_normal(each.name): each for each in distributions(path=[str(tree)])}
    installed = sorted((pin for pin in pins if _normal(pin.name) in found), key=lambda pin: pin.name.lower())
    return [_read(pin, found[_normal(pin.name)]) for pin in installed]


def write_bill(path: Path, sha256: str, materials: Sequence[Material]) -> None:
    """Write the bill of a zip with this digest, from the distributions in it without our own code."""
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
    """Return a wheel's file name, made from its tags: each part of them once, joined by dots."""
    tags = [line.removeprefix("Tag: ").split("-") for line in text.splitlines() if line.startswith("Tag: ")]
    if not tags:
        return None
    parts = (".".join(dict.fromkeys(column)) for column in zip(*tags, strict=True))
    return f"{pin.name.replace('-', '_')}-{pin.version}-{'-'.join(parts)}.whl"


def _normal(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")
