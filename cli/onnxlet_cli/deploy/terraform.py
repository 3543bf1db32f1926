"""Terraform's command, or OpenTofu's, in a copy of infra/gcp of each deployment's own."""

import json
import re
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from onnxlet.errors import SettingsError, StoreError
from onnxlet_cli.deploy.process import Finished, Report, run_tool, silent
from onnxlet_cli.deploy.settings import State

FOLDER = "infra/gcp"
COPIES = ".onnxlet/terraform"
"""Where the copies are. Two deployments from one checkout then never meet: neither their providers nor their states."""

NOT_COPIED = ("*.tfstate*", "terraform.tfstate.d", ".terraform", "*.tfvars", "*.tfvars.json", "*.tfplan")
VALUES = ("terraform.tfvars", "terraform.tfvars.json", "*.auto.tfvars", "*.auto.tfvars.json")
"""Files of values that Terraform reads by itself where it runs."""

VERSIONS, LOCK = "versions.tf", ".terraform.lock.hcl"
BACKEND = "backend_override.tf.json"
LOCAL_STATE = "terraform.tfstate"
PLAN = "onnxlet.tfplan"
SETTINGS = "settings.json"
SOURCE = "source.zip"
"""The functions, by a path that is the same on every machine, since the state holds it."""

LOCK_TIMEOUT = "-lock-timeout=5m"
"""As long as another deployment's plan or small change may take; a first deployment takes longer, and is said."""

ENVIRONMENT = {"TF_IN_AUTOMATION": "1", "TF_INPUT": "0", "TF_WORKSPACE": "default", "TF_DATA_DIR": ".terraform"}
"""A deployment has a state of its own, whatever workspace or folder the user works in."""

PLACE = re.compile(r"(?:with|on) |\d+:|├")
"""How the lines begin that say where in the configuration an error is."""
SHOWN_LINES = 4
"""Of an error."""

FORMAT = "format_version"
"""The field that each document of `show -json` has, and no line of a log.

Source: Terraform, "JSON Output Format"."""

DONE = (": Creation complete", ": Modifications complete", ": Destruction complete")
"""What a line says when a resource has changed."""

COMMANDS = {
    "terraform": "https://developer.hashicorp.com/terraform/install",
    "tofu": "https://opentofu.org/docs/intro/install",
}
"""What a new deployment takes, the first that is there; and where it is had."""


LATE = re.compile(
    r"Permission denied while using the Eventarc Service Agent"
    r"|may take (?:a few|several|some) minutes"
    r"|wait a few minutes"
    r"|Service account \W*(?:service-\d+|[a-z0-9-]+-(?:http|messages|objects|events|batch|build|training))@\S+ does not"
    r" exist"
    r"|-build@\S+ does not have \S+ access"
    r"|missing permission on the build service account"
    r"|Saved plan is stale",
    re.IGNORECASE,
)
"""What Google says of rights, service agents and services that were made a moment ago; and Terraform, where somebody
else has deployed between a plan and its application. Accounts are those that Google or this configuration makes: one
that the user names and that does not exist will not come into being.

Source: terraform-provider-google #9969, #14584, #15572, #25294; terraform-docs-samples #486; Service Usage, "API has
not been used in project before or it is disabled ... wait a few minutes"."""


class TerraformError(StoreError):
    """The command has failed."""

    def __init__(self, text: str, finished: Finished) -> None:
        """Take the text, and what the command has done."""
        super().__init__(text)
        self.why = explain(finished)
        found = _errors(finished)
        self.is_late = bool(found) and all(map(_is_late, found))
        """Whether the same may succeed later: nothing else went wrong than that Google was not ready yet."""


@dataclass(frozen=True)
class Terraform:
    """The command, for one deployment."""

    executable: str
    root: Path
    """Of the checkout."""
    deployment: str
    environment: Mapping[str, str | None] = field(default_factory=dict)
    """Variables for the command: the identity that it must have; None takes a variable of this process out."""

    @property
    def source(self) -> Path:
        """Where the configuration is."""
        return self.root / FOLDER

    @property
    def folder(self) -> Path:
        """Where the command runs."""
        return self.root / COPIES / self.deployment

    def begin(self, backend: Mapping[str, Any], state: Mapping[str, Any] | None = None) -> None:
        """Copy the configuration, and fetch the provider.

        Args:
            backend: Where the state is: the backend's kind, and its arguments.
            state: A state, for a backend that is this folder.

        Raises:
            TerraformError: the provider cannot be had, or the backend refuses.
            SettingsError: the copy cannot be written.
        """
        try:
            self._copy()
            document = {"terraform": {"backend": dict(backend)}}
            (self.folder / BACKEND).write_text(json.dumps(document))
            if state is not None:
                (self.folder / LOCAL_STATE).write_text(json.dumps(state))
        except OSError as error:
            raise SettingsError(f"{self.folder}: cannot be written: {error}") from error
        self.require("init", "-reconfigure", "-input=false", "-no-color")

    def require(self, *arguments: str, report: Report = silent) -> str:
        """Run it; gives what it said.

        Raises:
            TerraformError: it failed; the text says why.
        """
        done = self.run(*arguments, report=report)
        if not done.is_ok:
            raise TerraformError(self.why(arguments[0], done), done)
        return done.text

    def run(self, *arguments: str, report: Report = silent) -> Finished:
        """Run it; `report` takes a line for each resource that has changed."""
        environment = {**self.environment, **ENVIRONMENT}
        return run_tool([self.executable, *arguments], self.folder, environment, lambda line: _report(line, report))

    def why(self, command: str, done: Finished) -> str:
        """Return what went wrong, and what to do."""
        return f"{self.name} {command} failed: {explain(done)}; put that right, then try again"

    @property
    def name(self) -> str:
        """The command's name."""
        return Path(self.executable).name

    def state(self) -> State:
        """Return what is deployed; empty where nothing is."""
        return to_state(self._document("show", "-json", "-no-color"))

    def plan(self, variables: list[str], report: Report = silent) -> dict[str, Any]:
        """Make a plan, which `apply_plan` applies; gives it as `terraform show -json` does.

        Raises:
            TerraformError: the configuration or the cloud refuses it.
        """
        command = ("plan", "-input=false", "-no-color", LOCK_TIMEOUT, f"-out={PLAN}")
        self.require(*command, *variables, report=report)
        return self._document("show", "-json", "-no-color", PLAN)

    def apply_plan(self, report: Report = silent) -> str:
        """Apply the last plan; gives what the command says, which refuses where anybody has changed anything since.

        Raises:
            TerraformError: it failed.
        """
        return self.require("apply", "-input=false", "-no-color", LOCK_TIMEOUT, PLAN, report=report)

    def drop_plan(self) -> None:
        """Delete the last plan, which says more than others should read."""
        (self.folder / PLAN).unlink(missing_ok=True)

    def take_source(self, package: Path | None) -> str:
        """Put the functions' zip where the configuration reads it; gives its path there.

        Args:
            package: The zip; None where nothing is made of it any more, though Terraform reads it.

        Raises:
            SettingsError: it cannot be read.
        """
        try:
            if package is None:
                (self.folder / SOURCE).touch()
            else:
                shutil.copyfile(package, self.folder / SOURCE)
        except OSError as error:
            raise SettingsError(f"{package or self.folder}: {error.strerror}") from error
        return SOURCE

    def to_variables(self, remembered: Mapping[str, Any], named: Mapping[str, object]) -> list[str]:
        """Return variables as the command takes them, the later ones outranking the earlier.

        Args:
            remembered: Earlier settings with their own types, which go by a file.
            named: By the command line; those that are None keep the configuration's default.
        """
        path = self.folder / SETTINGS
        path.write_text(json.dumps(remembered))
        files = [path, *(found for pattern in VALUES for found in sorted(self.source.glob(pattern)))]
        return [f"-var-file={each}" for each in files] + to_variables(named)

    def _copy(self) -> None:
        """Copy the configuration; of an earlier copy only what `init` has fetched stays.

        The lock that `init` has written goes where other providers are asked for, which it would refuse.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        if _text_of(self.folder / VERSIONS) != _text_of(self.source / VERSIONS):
            (self.folder / LOCK).unlink(missing_ok=True)
        for path in self.folder.iterdir():
            if path.name.startswith("."):
                continue
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
        ignored = shutil.ignore_patterns(*NOT_COPIED)
        shutil.copytree(self.source, self.folder, ignore=ignored, dirs_exist_ok=True)

    def _document(self, *arguments: str) -> dict[str, Any]:
        """Run it and read the one line of JSON that it writes; warnings and logs may stand around that.

        Raises:
            StoreError: the line is not there, which must not pass for a state of nothing: settings would be forgotten.
        """
        text = self.require(*arguments)
        for line in text.splitlines():
            with suppress(ValueError):
                found = json.loads(line)
                if isinstance(found, dict) and FORMAT in found:
                    return found
        raise StoreError(f"{self.name} {arguments[0]}: expected JSON with {FORMAT}, got {text[:200]!r}")


def find_terraform(writer: str | None = None) -> str:
    """The executable: of what has written the state; of a new one Terraform's, or OpenTofu's where there is no other.

    Args:
        writer: The name of the command that has written the state.

    Raises:
        SettingsError: it is not there.
    """
    names = [writer] if writer else list(COMMANDS)
    found = next(filter(None, map(shutil.which, names)), None)
    if found is not None:
        return found
    where = " or ".join(COMMANDS[name] for name in names)
    if writer:
        raise SettingsError(
            f"{writer}: not on this machine, and the state of this deployment was written by it, which another command "
            f"would change for good: install it from {where}, or move the state first (infra/README.md)"
        )
    raise SettingsError(f"terraform: not on this machine, nor tofu; install one of them from {where}")


def former_state(root: Path, deployment: str) -> Path:
    """Return where an earlier onnxlet kept the state of a deployment, on this machine alone."""
    return root / FOLDER / "terraform.tfstate.d" / deployment / LOCAL_STATE


def to_state(document: Mapping[str, Any]) -> State:
    """Return a state, of what `terraform show -json` writes."""
    values = document.get("values") or {}
    outputs = {name: item.get("value") for name, item in (values.get("outputs") or {}).items()}
    items = values.get("root_module", {}).get("resources", [])
    return State(outputs, {item["address"]: item for item in items if item.get("mode") == "managed"})


def to_variables(values: Mapping[str, object]) -> list[str]:
    """Variables as the command takes them; those that are None keep the configuration's default."""
    return [f"-var={name}={_to_text(value)}" for name, value in values.items() if value is not None]


def explain(done: Finished) -> str:
    """Return the first error that the command names, in some lines; of several, one that waiting does not mend."""
    found = sorted(_errors(done), key=_is_late)
    return " ".join(found[0][:SHOWN_LINES]) if found else done.last_error()


def _text_of(path: Path) -> str | None:
    return path.read_text() if path.is_file() else None


def _errors(done: Finished) -> list[list[str]]:
    """Return the lines of each error that the command names, without where in the configuration it is."""
    found: list[list[str]] = []
    for line in (line.strip(" \t│╷╵") for line in done.text.splitlines()):
        if line.startswith("Error:"):
            found.append([line.removeprefix("Error:").strip()])
        elif found and line and not PLACE.match(line):
            found[-1].append(line)
    return found


def _is_late(lines: list[str]) -> bool:
    return LATE.search(" ".join(lines)) is not None


def _to_text(value: object) -> str:
    return json.dumps(value) if isinstance(value, bool) else str(value)


def _report(line: str, report: Report) -> None:
    if any(sign in line for sign in DONE):
        report(f"         {line.partition(' after ')[0]}")
