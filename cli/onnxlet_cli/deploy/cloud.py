"""A cloud, as a deployment sees it: what `deploy.aws` and `deploy.gcp` can both do."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from onnxlet.registry.registry import Registry
from onnxlet_cli.cost.offers import Extras
from onnxlet_cli.deploy.process import Report
from onnxlet_cli.http_client import Response
from onnxlet_cli.package.target import Target
from onnxlet_publishing.errors import UsageError

DEFAULT_NAME = "onnxlet"


@dataclass(frozen=True)
class Options:
    """The options of the command; what the user leaves out stays as it is deployed."""

    name: str = DEFAULT_NAME
    """The stack's name; an account may have several stacks."""
    region: str | None = None
    project: str | None = None
    auth: str | None = None
    """The callers that are allowed: one of the cloud's `AUTHS`."""
    memory_mib: int | None = None
    arch: str | None = None
    python: str | None = None
    others: Mapping[str, str] = field(default_factory=dict)
    """Parameters of the template, or variables of Terraform, by their names."""
    state: str | None = None
    """The place of Terraform's state on GCP, as `gs://bucket`."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """Tags that an AWS stack and its resources get in addition to those that they have."""


def check_named_once(options: Options, fields: Mapping[str, str]) -> None:
    """Raise a UsageError if an option names a setting, and `--set` or a stage's file as well: which one counts?

    The fields of the options are given by the settings with the same meaning.
    """
    for name, field_name in fields.items():
        if name in options.others and getattr(options, field_name) is not None:
            option = f"--{field_name.partition('_')[0]}"
            raise UsageError(f"--set {name}: expected it or {option}, which name the same setting, got both")


@dataclass(frozen=True)
class Outputs:
    """The URLs of a deployment."""

    http_url: str
    registry_url: str
    input_url: str
    results_url: str
    others: Mapping[str, str] = field(default_factory=dict)
    """All outputs by the names that the template or Terraform gives them."""

    @classmethod
    def read(cls, outputs: Mapping[str, Any], names: tuple[str, str, str, str]) -> "Outputs":
        """Return outputs, given the names of the four URLs in the order of the fields.

        Raises:
            KeyError: an output is missing.
        """
        http_url, registry_url, input_url, results_url = (outputs[name] for name in names)
        return cls(http_url, registry_url, input_url, results_url, dict(outputs))


@dataclass(frozen=True)
class Deployed:
    """The current deployment."""

    outputs: Outputs
    model: str | None
    """The default model."""
    variant: str | None
    public_keys: str = ""
    """The keys of the publishers that functions trust, as `ONNXLET_PUBLIC_KEYS`; without keys they trust all."""


@dataclass(frozen=True)
class Release:
    """The package and the model that a deployment puts in place."""

    package: Path
    model: str
    prefetch: str | None
    """`ONNXLET_PREFETCH`; None until the model is in the deployment's registry."""


@dataclass(frozen=True)
class Change:
    """A change of one resource in a plan."""

    action: str
    resource: str
    kind: str


@dataclass(frozen=True)
class NotCalled:
    """Why no request reached the function: this machine cannot be a caller."""

    reason: str


@dataclass(frozen=True)
class Retained:
    """A resource that stays on purpose when a deployment is removed."""

    kind: str
    """The cloud's name for the type."""
    name: str
    remedy: str


class Cloud(Protocol):
    """A cloud that functions are deployed to."""

    def check(self) -> str:
        """Check that everything a deployment needs is there; return a line that names the account and the place.

        Raises:
            UsageError, MachineError, AccountError: something is missing; the text says what to do.
        """

    def check_account(self) -> str:
        """Check that the cloud accepts the user; return a line that names the place; raises as `check`."""

    def find(self) -> Deployed | None:
        """Return what is deployed, or None.

        Raises:
            DeploymentError: the deployment is in a state that allows no change; the text says what to do.
        """

    def target(self) -> Target:
        """Return the target that the package must be made for."""

    def memory_mib(self) -> int:
        """Return the memory that the HTTP function will have."""

    def extras(self) -> Extras:
        """Return what will be billed in addition to the function."""

    def plan(self, release: Release, report: Report) -> list[Change]:
        """Return what `apply` would change; change nothing.

        Raises:
            DeploymentError, ToolError: the cloud refuses.
        """

    def apply(self, release: Release, report: Report) -> Deployed:
        """Deploy; a release that is deployed already changes nothing.

        Raises:
            DeploymentError, ToolError: the deployment failed; the text says why, and what to do.
        """

    def open_registry(self, url: str) -> Registry:
        """Open a registry of the deployment with the credentials that deploy."""

    def send(self, outputs: Outputs, path: str, body: bytes | None, headers: Mapping[str, str]) -> Response | NotCalled:
        """Send a request to the HTTP function as a caller that it accepts, if this machine can be one.

        Raises:
            ServiceError: no response came.
        """

    def diagnostics(self, outputs: Outputs) -> list[str]:
        """Return the commands that show why an object has no result; empty if no function answers objects."""

    def remove_objects(self, url: str) -> None:
        """Delete all objects of a folder, with the earlier versions of them that the cloud can name.

        Raises:
            ServiceError, StoreError: some objects are left.
        """

    def tidy(self, report: Report) -> None:
        """Remove what earlier deployments left that costs money and nobody needs; report a failure, raise none."""

    def retained(self) -> list[Retained]:
        """Return what `remove` would leave on purpose."""

    def remove(self, report: Report) -> list[Retained]:
        """Remove the deployment, and return what is left on purpose.

        Raises:
            DeploymentError, ToolError: the removal failed; the text says why, and what to do.
        """

    def describe(self, outputs: Outputs, model: str) -> list[tuple[str, list[str]]]:
        """Return how to use the deployment: purposes, each with its lines."""

    def document(self) -> dict[str, Any]:
        """Return the place of the deployment for machines."""


def require_registry(outputs: Outputs, setting: str, url: str | None) -> None:
    """Raise a UsageError for another registry than the deployed one: it has neither its models nor its API keys.

    The setting, with its new value, leads to the registry at the URL; None if that cannot be the deployed one.
    """
    if url != outputs.registry_url:
        raise UsageError(
            f"{setting}: expected the registry of what is deployed, {outputs.registry_url}, whose models and API keys "
            "the functions would lose: deploy another stack with that bucket (--stack NAME), and copy the models there "
            "(`onnxlet promote --from STACK --to NAME`)"
        )
