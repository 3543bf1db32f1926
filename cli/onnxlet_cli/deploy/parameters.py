"""The parameters of template.yaml: which there are, what they take, and the revision that stands for their values."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from onnxlet.errors import InvalidRequestError

SECTION = re.compile(r"^Parameters:\n(?P<body>(?:  .*\n|\n)+)", re.MULTILINE)
NAME = re.compile(r"^  (\w+):$")
FIELD = re.compile(r"^    (Type|Default): (?:'([^']*)'|([^'#\s]+))")
"""The template's own style, which is read without a library for YAML: the command needs none for anything else."""

FRACTIONS = ("SlowMilliseconds", "ToleratedFailurePercentage")
"""The numbers that need not be whole. CloudFormation takes a fraction for any, and the service refuses it half way."""

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
"""The parameters of which no function's configuration depends: they publish no version. All others do."""

REVISION_DIGITS = 10

MAX_PREFETCH = 2048
"""Characters of `Prefetch` that the template takes: Lambda has 4 KB for all variables of a function."""


@dataclass(frozen=True)
class Parameter:
    """A parameter as the template declares it."""

    kind: str
    default: str


def read_parameters(template: Path) -> dict[str, Parameter]:
    """Return the parameters that a template declares, by their names."""
    section = SECTION.search(template.read_text())
    found: dict[str, dict[str, str]] = {}
    name = ""
    for line in section["body"].splitlines() if section else []:
        if match := NAME.match(line):
            name = match[1]
            found[name] = {}
        elif match := FIELD.match(line):
            found[name][match[1]] = match[2] or match[3] or ""
    return {name: Parameter(fields.get("Type", ""), fields.get("Default", "")) for name, fields in found.items()}


def check_parameters(given: Mapping[str, str], declared: Mapping[str, Parameter]) -> None:
    """Refuse a parameter that AWS SAM would leave out without a word, and a number that a service would refuse late.

    Raises:
        InvalidRequestError: the template has no such parameter, or takes a whole number for it.
    """
    for name, value in given.items():
        if name not in declared:
            raise InvalidRequestError(
                f"--set {name}: template.yaml has no such parameter; it has {', '.join(declared)}"
            )
        is_whole = declared[name].kind == "Number" and name not in FRACTIONS
        if is_whole and not re.fullmatch(r"\d+", value):
            raise InvalidRequestError(f"--set {name}={value}: expected a whole number")


def to_revision(values: Mapping[str, str]) -> str:
    """Return the word that stands for all values on which a function's configuration depends."""
    versioned = {name: value for name, value in values.items() if name not in UNVERSIONED}
    return hashlib.sha256(json.dumps(versioned, sort_keys=True).encode()).hexdigest()[:REVISION_DIGITS]
