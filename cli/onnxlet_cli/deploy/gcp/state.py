"""Terraform's state: the records of `terraform show`, and the facts that the stored file itself tells."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onnxlet_cli.errors import DeploymentError

BUCKET = "google_storage_bucket"
STAYS = (
    BUCKET,
    "google_kms_crypto_key_iam_member",
    "google_project_service",
    "google_project_service_identity",
    "time_sleep",
)
"""The types of resources that a removal leaves while a bucket is not empty: buckets, and what they were made with."""

REGISTRIES = {"tofu": "registry.opentofu.org/", "terraform": "registry.terraform.io/"}
"""The registry from which each command downloads its providers."""

Values = Mapping[str, Any]
"""A resource's attributes."""


@dataclass(frozen=True)
class State:
    """The outputs and resources of a state."""

    outputs: Mapping[str, Any]
    resources: Mapping[str, dict[str, Any]]
    """Resources by their addresses, as `terraform show -json` prints them."""

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "State":
        """Return the state that `terraform show -json` printed."""
        values = document.get("values") or {}
        outputs = {name: item.get("value") for name, item in (values.get("outputs") or {}).items()}
        items = values.get("root_module", {}).get("resources", [])
        return cls(outputs, {item["address"]: item for item in items if item.get("mode") == "managed"})

    def values(self, address: str) -> Values:
        """Return the attributes of the first resource of an address.

        Raises:
            KeyError: there is no such resource.
        """
        found = self.all(address)
        if not found:
            raise KeyError(address)
        return found[0]

    def all(self, address: str) -> list[Values]:
        """Return the attributes of all resources of an address with `count` or `for_each`."""
        return [item["values"] for name, item in self.resources.items() if name.partition("[")[0] == address]

    def buckets(self) -> list[Values]:
        """Return the attributes of all buckets."""
        return [item["values"] for item in self.resources.values() if item["type"] == BUCKET]

    @property
    def is_removed(self) -> bool:
        """Whether only buckets that were not empty are left, and what they need."""
        return all(item["type"] in STAYS for item in self.resources.values())


def read_file(path: Path) -> dict[str, Any] | None:
    """Return a state from a file on this machine, or None without the file.

    Raises:
        DeploymentError: the file is not a state.
    """
    try:
        document: dict[str, Any] = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise DeploymentError(f"{path}: expected a state of Terraform, got: {error}") from error
    return document


def holds_anything(document: Mapping[str, Any] | None) -> bool:
    """Return whether a state, as Terraform stores it, has anything that is deployed."""
    if document is None:
        return False
    return bool(document.get("resources") or document.get("outputs") or "encrypted_data" in document)


def written_by(document: Mapping[str, Any] | None) -> str | None:
    """Return the command that wrote a state, as the source of its providers tells; None if that is unknown.

    OpenTofu reads Terraform's states and makes them its own with the first change, after which Terraform wants
    OpenTofu's providers. Terraform cannot read a state that OpenTofu encrypted.

    Source: opentofu/opentofu #773, #1139; OpenTofu, "State and Plan Encryption".
    """
    if document is None:
        return None
    if "encrypted_data" in document:
        return "tofu"
    providers = {str(resource.get("provider")) for resource in document.get("resources") or []}
    for command, registry in REGISTRIES.items():
        if any(registry in provider for provider in providers):
            return command
    return None
