"""A cloud, as a deployment sees it: what each of the two modules `aws` and `gcp` can do."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from onnxlet.errors import InvalidRequestError
from onnxlet.registry.registry import Registry
from onnxlet_cli.cost.offers import Extras
from onnxlet_cli.deploy.process import Report
from onnxlet_cli.package.target import Target

DEFAULT_NAME = "onnxlet"


@dataclass(frozen=True)
class Options:
    """What the user said; what was not said stays as it is in what is deployed."""

    name: str = DEFAULT_NAME
    """The stack, of which an account may have several."""
    region: str | None = None
    project: str | None = None
    """Of GCP."""
    auth: str | None = None
    """One of `aws.AUTHS`: who may call."""
    memory_mib: int | None = None
    arch: str | None = None
    python: str | None = None
    others: Mapping[str, str] = field(default_factory=dict)
    """Parameters of the template, or variables of Terraform, by their names."""
    state: str | None = None
    """Of GCP: where Terraform's state is, as `gs://bucket`."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """Of AWS: what the stack and all in it is labelled with, beside the tags that it has."""


def check_named_once(options: Options, fields: Mapping[str, str]) -> None:
    """Refuse a setting that an option names, and `--set` or a stage's file as well: which one counts would be a guess.

    Args:
        options: What the user said.
        fields: The fields of the options, by the settings that say the same.

    Raises:
        InvalidRequestError: a setting is named twice.
    """
    for name, field_name in fields.items():
        if name in options.others and getattr(options, field_name) is not None:
            option = f"--{field_name.partition('_')[0]}"
            raise InvalidRequestError(f"--set {name}: expected it or {option}, which name the same setting, got both")


@dataclass(frozen=True)
class Outputs:
    """The places of what is deployed."""

    http_url: str
    registry_url: str
    input_url: str
    results_url: str
    others: Mapping[str, str] = field(default_factory=dict)
    """By the names that the template or Terraform gives them."""


@dataclass(frozen=True)
class Deployed:
    """What is deployed."""

    outputs: Outputs
    model: str | None
    """The default model."""
    variant: str | None
    """Which of its graphs."""
    public_keys: str = ""
    """The keys of the publishers whose versions alone are loaded, as `ONNXLET_PUBLIC_KEYS`; empty where all are."""


@dataclass(frozen=True)
class Wanted:
    """What shall be deployed."""

    package: Path
    """The zip of `onnxlet package`."""
    model: str
    prefetch: str | None
    """`ONNXLET_PREFETCH`; None as long as the model is not in the registry there."""


@dataclass(frozen=True)
class Change:
    """What a deployment would do to one resource."""

    action: str
    resource: str
    kind: str


@dataclass(frozen=True)
class Reply:
    """An answer to an HTTP request."""

    status: int
    headers: Mapping[str, str]
    """By lower-case names."""
    body: bytes


@dataclass(frozen=True)
class Unasked:
    """A request that was not sent, or reached no function, since this machine cannot be a caller."""

    reason: str


@dataclass(frozen=True)
class Kept:
    """What is left on purpose where all else was removed."""

    kind: str
    """As its cloud names it."""
    name: str
    remedy: str
    """The command that removes it for ever."""


class Cloud(Protocol):
    """Where functions are deployed."""

    def check(self) -> str:
        """See that all that a deployment needs is there; a line that says to whom and where it goes.

        Raises:
            InvalidRequestError, SettingsError, CredentialsError: something is missing; the text says what to do.
        """

    def check_account(self) -> str:
        """Look whether the cloud lets us in; a line that says to whom and where it goes, raises as `check`."""

    def find(self) -> Deployed | None:
        """What is deployed, or None.

        Raises:
            StoreError: it is in a state in which nothing can be done; the text says what to do.
        """

    def target(self) -> Target:
        """What the package must be made for."""

    def memory_mib(self) -> int:
        """Of the function, as it will be."""

    def extras(self) -> Extras:
        """What is billed besides the function, as it will be."""

    def plan(self, wanted: Wanted, report: Report) -> list[Change]:
        """What `apply` would change, changing nothing.

        Raises:
            StoreError: the cloud refuses.
        """

    def apply(self, wanted: Wanted, report: Report) -> Deployed:
        """Deploy; where all is as wanted already, nothing changes.

        Raises:
            StoreError: it failed; the text says why, and what to do.
        """

    def open_registry(self, url: str) -> Registry:
        """A registry there, with the credentials that deploy."""

    def send(self, outputs: Outputs, path: str, body: bytes | None, headers: Mapping[str, str]) -> Reply | Unasked:
        """Send a request as a caller who is let in, if this machine can be one.

        Raises:
            OSError: nothing answers.
        """

    def look(self, outputs: Outputs) -> list[str]:
        """The commands that show why an object has no result; empty where no function answers objects."""

    def remove_objects(self, url: str) -> None:
        """Delete all objects of a folder, and what the cloud keeps of their earlier versions where it can be named.

        Raises:
            StoreError: not all of them could be deleted.
        """

    def tidy(self, report: Report) -> None:
        """Remove what earlier deployments left, where it costs and nobody needs it; report failures, raise none."""

    def kept(self) -> list[Kept]:
        """What `remove` would keep."""

    def remove(self, report: Report) -> list[Kept]:
        """Remove what is deployed, but for what is kept on purpose; gives that.

        Raises:
            StoreError: it failed; the text says why, and what to do.
        """

    def describe(self, outputs: Outputs, model: str) -> list[tuple[str, list[str]]]:
        """How to use what is deployed: a purpose, and its lines."""

    def document(self) -> dict[str, Any]:
        """Where it is deployed, for machines."""


def require_registry(outputs: Outputs, setting: str, url: str | None) -> None:
    """Refuse another registry for functions that run: it would have neither their models nor their API keys.

    Args:
        outputs: The places of what is deployed.
        setting: The setting that names the registry's bucket, with its new value.
        url: The URL of the registry that the setting leads to; None if that cannot be the deployed one.

    Raises:
        InvalidRequestError: It is another registry than the deployed one.
    """
    if url != outputs.registry_url:
        raise InvalidRequestError(
            f"{setting}: expected the registry of what is deployed, {outputs.registry_url}, whose models and API keys "
            "the functions would lose: deploy another stack with that bucket (--stack NAME), and copy the models there "
            "(`onnxlet promote --from STACK --to NAME`)"
        )
