"""The parameters of template.yaml: their declarations, a stack's values for them, and the revision of the values."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from onnxlet_cli.deploy.aws import concurrency
from onnxlet_cli.deploy.cloud import Options, Release
from onnxlet_cli.errors import ServiceError
from onnxlet_cli.package.target import Target
from onnxlet_publishing.errors import AccountError, UsageError

AUTHS = {"iam": "AWS_IAM", "none": "NONE", "api-key": "API_KEY"}
"""The callers that are allowed (with IAM's permission, all, or with the API key), by the template's names."""

FIELDS = {"UrlAuth": "auth", "MemorySize": "memory_mib", "Architecture": "arch", "Runtime": "python"}
"""The parameters that options of the command name as well."""

SECTION = re.compile(r"^Parameters:\n(?P<body>(?:  .*\n|\n)+)", re.MULTILINE)
PARAMETER = re.compile(r"^  (\w+):\n((?:    .*\n|\n)*)", re.MULTILINE)
FIELD = re.compile(r"^    (Type|Default): (?:'([^']*)'|([^'#\s]+))", re.MULTILINE)
"""A field of a parameter in the style of the template, so that the command needs no library for YAML."""

FRACTIONS = ("SlowMilliseconds", "ToleratedFailurePercentage")
"""The numbers that may be fractions. CloudFormation accepts one for any number, and the service refuses it later."""

UNVERSIONED = (
    "AlarmTopic",
    "ApiRequestsPerMonth",
    "ApiRequestsPerSecond",
    "BatchConcurrency",
    "BatchItems",
    "CanaryDeployment",
    "KeepDays",
    "KmsKeyArn",
    "LogDays",
    "ObjectConcurrency",
    "PermissionsBoundary",
    "ProvisionedConcurrency",
    "ReservedConcurrency",
    "Revision",
    "SlowMilliseconds",
    "ToleratedFailurePercentage",
    "UrlAuth",
)
"""The parameters that no function's configuration depends on: a change of another one publishes a new version."""

REVISION_DIGITS = 10

MAX_PREFETCH = 2048
"""The most characters of `Prefetch` that the template accepts: Lambda has 4 KB for all variables of a function."""


@dataclass(frozen=True)
class Parameter:
    """The declaration of a parameter in the template."""

    kind: str
    default: str


def read_parameters(template: Path) -> dict[str, Parameter]:
    """Return the parameters that a template declares by their names."""
    section = SECTION.search(template.read_text())
    found = {}
    for name, lines in PARAMETER.findall(section["body"] if section else ""):
        fields = {field: quoted or plain for field, quoted, plain in FIELD.findall(lines)}
        found[name] = Parameter(fields.get("Type", ""), fields.get("Default", ""))
    return found


def check_parameters(given: Mapping[str, str], declared: Mapping[str, Parameter]) -> None:
    """Raise a UsageError for a parameter that SAM would ignore silently, or a number that a service would refuse."""
    for name, value in given.items():
        if name not in declared:
            raise UsageError(f"--set {name}: template.yaml has no such parameter; it has {', '.join(declared)}")
        is_whole = declared[name].kind == "Number" and name not in FRACTIONS
        if is_whole and not re.fullmatch(r"\d+", value):
            raise UsageError(f"--set {name}={value}: expected a whole number")


def to_revision(values: Mapping[str, str]) -> str:
    """Return a digest of all values that a function's configuration depends on."""
    versioned = {name: value for name, value in values.items() if name not in UNVERSIONED}
    return hashlib.sha256(json.dumps(versioned, sort_keys=True).encode()).hexdigest()[:REVISION_DIGITS]


class StackParameters:
    """The parameters of one stack: from the template, as deployed, and from the options of the command."""

    def __init__(self, options: Options, template: Path) -> None:
        self.options = options
        self.template = template
        self.deployed: Mapping[str, str] = {}
        """The values of the deployed stack."""
        self.fitted: dict[str, str] = {}
        """Parameters that are lower than they were, or than their defaults, because of the account's concurrency."""

    @cached_property
    def declared(self) -> dict[str, Parameter]:
        """The declarations of the template."""
        return read_parameters(self.template)

    def chosen(self, name: str, default: Any) -> Any:
        """Return a parameter as `--set` names it, or as it is deployed."""
        return self.options.others.get(name) or self.deployed.get(name, default)

    def values(self, chosen: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return all parameters as they will be; each source replaces the ones before it."""
        defaults = {name: parameter.default for name, parameter in self.declared.items()}
        return {**defaults, **self.deployed, **self.fitted, **(chosen or {}), **self.options.others}

    def fit(self, client: Any) -> str:
        """Fit the parameters to the account's concurrency; return the text that tells the user.

        Raises:
            UsageError: the account cannot give what the user requests.
        """
        try:
            account = concurrency.read_account(client)
        except (AccountError, ServiceError) as error:
            return f"; its concurrency is unknown ({error})"
        held = int(self.deployed.get("ReservedConcurrency", "0"))
        self.fitted = concurrency.fit(concurrency.Demand.of(self.values()), self.options.others, account, held)
        lowered = " and ".join(f"{name} {value}" for name, value in self.fitted.items())
        limits = f"the account has {account.limit} environments at a time, {account.unreserved} of them not reserved"
        return f"; {lowered} instead of more, for {limits}" if lowered else ""

    def overrides(self, release: Release, target: Target) -> dict[str, str]:
        """Return the parameters that SAM must set for a release."""
        prefetch = release.prefetch
        if prefetch is not None and len(prefetch) > MAX_PREFETCH:
            prefetch = ""  # a cold start then takes one request more; too many variables would fail the deployment
        chosen = {
            "ModelName": release.model,
            "Architecture": target.arch,
            "Runtime": f"python{target.python}",
            "Prefetch": prefetch,
            "UrlAuth": AUTHS[self.options.auth] if self.options.auth else None,
            "MemorySize": str(self.options.memory_mib) if self.options.memory_mib else None,
        }
        given = {name: value for name, value in chosen.items() if value is not None}
        return {**given, **self.fitted, "Revision": to_revision(self.values(given)), **self.options.others}
