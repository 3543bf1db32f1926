"""The variables of infra/gcp as they are deployed, so that nobody has to repeat a setting.

The configuration writes all of its variables into the state, as the output `settings`. `former_settings` reads the
states without that output.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from onnxlet_cli.deploy.cloud import Options, check_named_once
from onnxlet_cli.deploy.gcp.former_settings import as_options, read_former
from onnxlet_cli.deploy.gcp.state import State
from onnxlet_cli.errors import DeploymentError
from onnxlet_publishing.errors import UsageError

AUTHS = {"iam": False, "none": True}
"""Whether everybody may call, or only callers with Google's permission."""

OPTIONS = {"project": "--project", "region": "--region", "name": "--stack", "source_zip": "nothing: it is made"}
"""The variables that the command sets in each deployment, and the options that replace `--set` for them."""

FIELDS = {"allow_unauthenticated": "auth", "memory_mib": "memory_mib", "runtime": "python"}
"""The variables that options of the command name as well."""

OUTPUT = "settings"

VARIABLE = re.compile(r'^variable "(\w+)"', re.MULTILINE)


def declared(folder: Path) -> set[str]:
    """Return the names of all variables of a configuration."""
    return {name for path in folder.glob("*.tf") for name in VARIABLE.findall(path.read_text())}


def recall(state: State, named: Mapping[str, str], known: set[str]) -> dict[str, Any]:
    """Return the deployed settings that the user does not name, given the known variables of this checkout.

    Raises:
        DeploymentError: a setting cannot be read, or this checkout does not know it; the text says what to name.
    """
    found = state.outputs.get(OUTPUT)
    if found is None:
        found = _read_retained(state) if state.is_removed else read_former(state, named)
    unknown = sorted(set(found) - known - set(named))
    if unknown:
        raise DeploymentError(
            f"{', '.join(unknown)}: set in the deployment, and not a variable of this checkout, which is older: "
            f"update it, or drop them with {as_options(unknown)}"
        )
    return {name: value for name, value in found.items() if name not in named and name not in OPTIONS}


def _read_retained(state: State) -> dict[str, Any]:
    """Return the one setting that outlives a removal: the key that encrypts the buckets that were not empty."""
    encryptions = [encryption for bucket in state.buckets() for encryption in bucket.get("encryption") or []]
    return {"kms_key": encryptions[0]["default_kms_key_name"]} if encryptions else {}


def check_options(options: Options) -> None:
    """Raise a UsageError for options that GCP does not have, and for settings that are named twice."""
    if options.auth is not None and options.auth not in AUTHS:
        raise UsageError(f"--auth {options.auth}: expected {' or '.join(AUTHS)} with --cloud gcp")
    for name, option in OPTIONS.items():
        if name in options.others:
            raise UsageError(f"--set {name}: expected {option}")
    check_named_once(options, FIELDS)
    if options.tags:
        raise UsageError("--tag: AWS has tags; with --cloud gcp set the variable labels")


class DeploymentSettings:
    """The variables of one deployment: as they are deployed, and as the options name them."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.remembered: dict[str, Any] = {}
        """The deployed settings that the user does not name."""

    def recall(self, state: State, known: set[str]) -> None:
        """Read the deployed settings; raises as the function `recall`.

        Raises:
            UsageError: the user names a variable that neither this checkout nor the deployment has.
        """
        recorded = state.outputs.get(OUTPUT) or {}
        for name in self.options.others:
            if name not in known and name not in recorded:
                raise UsageError(f"--set {name}: expected a variable of infra/gcp")
        self.remembered = recall(state, self.named(), known)

    def chosen(self, name: str) -> Any:
        """Return a variable as `--set` names it, or as it is deployed."""
        return self.options.others.get(name) or self.remembered.get(name)

    def named(self) -> dict[str, str]:
        """Return the settings that the user names; an empty text brings back the default."""
        named = dict(self.options.others)
        if self.options.memory_mib is not None:
            named["memory_mib"] = str(self.options.memory_mib)
        if self.options.auth is not None:
            named["allow_unauthenticated"] = "true" if AUTHS[self.options.auth] else "false"
        return named

    def remembered_for_terraform(self) -> dict[str, Any]:
        """Return the deployed settings, without those that Terraform reads from the environment."""
        return {name: value for name, value in self.remembered.items() if f"TF_VAR_{name}" not in os.environ}
