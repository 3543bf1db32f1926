"""The command of Terraform or OpenTofu, which runs in a copy of infra/gcp for each deployment."""

import json
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onnxlet.settings import storage_from_environment
from onnxlet_cli.deploy.cloud import Change
from onnxlet_cli.deploy.gcp.state import State
from onnxlet_cli.deploy.gcp.terraform_errors import TerraformError, explain
from onnxlet_cli.deploy.process import Finished, Report, run_tool, silent
from onnxlet_cli.errors import ToolError
from onnxlet_publishing.errors import MachineError
from onnxlet_publishing.google_identity import Identity

FOLDER = "infra/gcp"
COPIES = ".onnxlet/terraform"
"""The folder of the copies, so that two deployments from one checkout share neither providers nor states."""

NOT_COPIED = ("*.tfstate*", "terraform.tfstate.d", ".terraform", "*.tfvars", "*.tfvars.json", "*.tfplan")
VALUES = ("terraform.tfvars", "terraform.tfvars.json", "*.auto.tfvars", "*.auto.tfvars.json")
"""Files of values that Terraform reads automatically in its working directory."""

VERSIONS, LOCK = "versions.tf", ".terraform.lock.hcl"
BACKEND = "backend_override.tf.json"
LOCAL_STATE = "terraform.tfstate"
PLAN = "onnxlet.tfplan"
SETTINGS = "settings.json"
SOURCE = "source.zip"
"""The functions' zip; the path is the same on every machine, since it stands in the state."""

LOCK_TIMEOUT = "-lock-timeout=5m"
"""The time to wait for another deployment's plan or small change; behind a first deployment, Terraform gives up."""

ENVIRONMENT = {"TF_IN_AUTOMATION": "1", "TF_INPUT": "0", "TF_WORKSPACE": "default", "TF_DATA_DIR": ".terraform"}
"""Variables that make the state independent of the user's own workspace and folder."""

FORMAT = "format_version"
"""The field of every document of `show -json`, which no line of a log has.

Source: Terraform, "JSON Output Format"."""

DONE = (": Creation complete", ": Modifications complete", ": Destruction complete")
"""The parts of a line that say that a resource has changed."""

BACKENDS = tuple(
    f"GOOGLE_BACKEND_{name}"
    for name in ("CREDENTIALS", "IMPERSONATE_SERVICE_ACCOUNT", "OAUTH_ACCESS_TOKEN", "STORAGE_CUSTOM_ENDPOINT")
)
"""Variables that would make only the backend use another identity or another endpoint.

Source: Terraform, "Backend Type: gcs"."""

ACTIONS: dict[tuple[str, ...], str | None] = {
    ("no-op",): None,
    ("read",): None,
    ("create",): "add",
    ("update",): "modify",
    ("delete",): "remove",
}
"""The name of what a plan does to a resource, by its actions; every other list of actions replaces it."""

COMMANDS = {
    "terraform": "https://developer.hashicorp.com/terraform/install",
    "tofu": "https://opentofu.org/docs/intro/install",
}
"""The commands that a new deployment looks for, in this order, and where to get them."""


@dataclass(frozen=True)
class Terraform:
    """The command for one deployment."""

    executable: str
    root: Path
    deployment: str
    environment: Mapping[str, str | None]
    """Variables that give the command its identity; None removes a variable of this process."""

    @property
    def source(self) -> Path:
        """The folder of the configuration."""
        return self.root / FOLDER

    @property
    def folder(self) -> Path:
        """The command's working directory."""
        return self.root / COPIES / self.deployment

    def begin(self, backend: Mapping[str, Any], state: Mapping[str, Any] | None = None) -> None:
        """Copy the configuration for a backend, its kind with its arguments, and download the provider.

        The local backend may get a state, which is written into the working directory.

        Raises:
            TerraformError: the provider cannot be downloaded, or the backend refuses.
            MachineError: the copy cannot be written.
        """
        try:
            self._copy()
            (self.folder / BACKEND).write_text(json.dumps({"terraform": {"backend": backend}}))
            if state is not None:
                (self.folder / LOCAL_STATE).write_text(json.dumps(state))
        except OSError as error:
            raise MachineError(f"{self.folder}: cannot be written: {error}") from error
        self.require("init", "-reconfigure", "-input=false", "-no-color")

    def require(self, *arguments: str, report: Report = silent) -> str:
        """Run the command, and return its output.

        Raises:
            TerraformError: the command failed; the text says why.
        """
        done = self.run(*arguments, report=report)
        if not done.is_ok:
            raise TerraformError(self.why(arguments[0], done), done)
        return done.text

    def run(self, *arguments: str, report: Report = silent) -> Finished:
        """Run the command, and report each resource that has changed."""
        environment = {**self.environment, **ENVIRONMENT}
        return run_tool([self.executable, *arguments], self.folder, environment, lambda line: _report(line, report))

    def why(self, command: str, done: Finished) -> str:
        """Return why a command failed, and what to do."""
        return f"{Path(self.executable).name} {command} failed: {explain(done)}; put that right, then try again"

    def state(self) -> State:
        """Return the state, which is empty if nothing is deployed."""
        return State.from_document(self._document("show", "-json", "-no-color"))

    def plan(self, variables: list[str], report: Report = silent) -> dict[str, Any]:
        """Make a plan for `apply_plan`, and return the document that `terraform show -json` prints of it.

        Raises:
            TerraformError: the configuration or the cloud refuses it.
        """
        command = ("plan", "-input=false", "-no-color", LOCK_TIMEOUT, f"-out={PLAN}")
        self.require(*command, *variables, report=report)
        return self._document("show", "-json", "-no-color", PLAN)

    def apply_plan(self, report: Report = silent) -> str:
        """Apply the last plan, and return the output.

        Raises:
            TerraformError: the command failed, for example because the state has changed since the plan.
        """
        return self.require("apply", "-input=false", "-no-color", LOCK_TIMEOUT, PLAN, report=report)

    def drop_plan(self) -> None:
        """Delete the last plan, which contains values that others must not read."""
        (self.folder / PLAN).unlink(missing_ok=True)

    def take_source(self, package: Path | None) -> str:
        """Copy the functions' zip into the working directory, and return its path there.

        None makes an empty file, which a removal needs because Terraform reads it.

        Raises:
            MachineError: the zip cannot be copied.
        """
        try:
            if package is None:
                (self.folder / SOURCE).touch()
            else:
                shutil.copyfile(package, self.folder / SOURCE)
        except OSError as error:
            raise MachineError(f"{package or self.folder}: {error.strerror}") from error
        return SOURCE

    def to_variables(self, remembered: Mapping[str, Any], named: Mapping[str, str]) -> list[str]:
        """Return the options that set variables, in the order in which Terraform lets the later one win.

        The remembered settings, as they are deployed, are passed in a file because they have types.
        """
        path = self.folder / SETTINGS
        path.write_text(json.dumps(remembered))
        files = [path, *(file for pattern in VALUES for file in sorted(self.source.glob(pattern)))]
        return [f"-var-file={file}" for file in files] + [f"-var={name}={value}" for name, value in named.items()]

    def _copy(self) -> None:
        """Copy the configuration; only the downloads of `init` stay from an earlier copy.

        The lock file of `init` is deleted if the configuration requires other providers: `init` would refuse them.
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
        """Run the command, and return the one line of JSON among its output, which may have warnings and logs.

        Raises:
            ToolError: the line is missing. That must not count as an empty state, or the settings would be lost.
        """
        text = self.require(*arguments)
        for line in text.splitlines():
            with suppress(ValueError):
                document = json.loads(line)
                if isinstance(document, dict) and FORMAT in document:
                    return document
        raise ToolError(f"{Path(self.executable).name} {arguments[0]}: expected JSON with {FORMAT}, got {text[:200]!r}")


def find_terraform(writer: str | None = None) -> str:
    """Return the executable of the command that wrote the state, or for a new state of Terraform or OpenTofu.

    Raises:
        MachineError: the command is not installed.
    """
    names = [writer] if writer else list(COMMANDS)
    found = next(filter(None, map(shutil.which, names)), None)
    if found is not None:
        return found
    sources = " or ".join(COMMANDS[name] for name in names)
    if writer:
        raise MachineError(
            f"{writer}: not on this machine, and it wrote the state of this deployment, which another command would "
            f"change for good: install it from {sources}, or move the state first (infra/README.md)"
        )
    raise MachineError(f"terraform: not on this machine, nor tofu; install one of them from {sources}")


def identity_variables(identity: Identity) -> dict[str, str | None]:
    """Return variables that make Terraform and its backend use the command's identity and endpoint."""
    base = storage_from_environment(os.environ).gcs_base_url
    endpoint = {"GOOGLE_STORAGE_CUSTOM_ENDPOINT": f"{base.rstrip('/')}/storage/v1/"} if base else {}
    return {**dict.fromkeys(BACKENDS), **endpoint, **identity.variables}


def former_state(root: Path, deployment: str) -> Path:
    """Return the path where an earlier onnxlet kept the state of a deployment on this machine."""
    return root / FOLDER / "terraform.tfstate.d" / deployment / LOCAL_STATE


def read_changes(planned: Mapping[str, Any]) -> list[Change]:
    """Return the changes of a plan, as `Terraform.plan` returns it."""
    changes = []
    for item in planned.get("resource_changes", []):
        action = ACTIONS.get(tuple(item["change"]["actions"]), "replace")
        if action:
            changes.append(Change(action, item["address"], item["type"]))
    return changes


def _text_of(path: Path) -> str | None:
    return path.read_text() if path.is_file() else None


def _report(line: str, report: Report) -> None:
    if any(sign in line for sign in DONE):
        report(f"         {line.partition(' after ')[0]}")
