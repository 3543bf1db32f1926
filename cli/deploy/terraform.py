"""Terraform's command, for the configuration in infra/gcp and one workspace of it."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.deploy.process import Finished, Report, run_tool, silent
from onnxlet.errors import SettingsError, StoreError

FOLDER = "infra/gcp"
DONE = (": Creation complete", ": Modifications complete", ": Destruction complete")
"""What a line says when a resource has changed."""


@dataclass(frozen=True)
class Terraform:
    """The command, for one deployment: its state is a workspace, so that no two share one."""

    executable: str
    root: Path
    """Of the checkout."""
    workspace: str

    @property
    def folder(self) -> Path:
        """Where the configuration is."""
        return self.root / FOLDER

    def begin(self) -> None:
        """Fetch the provider, and take the workspace.

        Raises:
            StoreError: it cannot be had.
        """
        self.require("init", "-input=false", "-no-color")
        self.require("workspace", "select", "-or-create", self.workspace)

    def require(self, *arguments: str, report: Report = silent) -> str:
        """Run it; gives what it said.

        Raises:
            StoreError: it failed; the text says why.
        """
        done = self.run(*arguments, report=report)
        if not done.is_ok:
            raise StoreError(f"terraform {arguments[0]} failed: {explain(done)}; put that right, then try again")
        return done.text

    def run(self, *arguments: str, report: Report = silent) -> Finished:
        """Run it; `report` takes a line for each resource that has changed."""
        environment = {"TF_IN_AUTOMATION": "1", "TF_INPUT": "0"}
        return run_tool([self.executable, *arguments], self.folder, environment, lambda line: _report(line, report))

    def outputs(self) -> dict[str, Any]:
        """The outputs of what is deployed; empty where nothing is."""
        found = json.loads(self.require("output", "-json", "-no-color"))
        return {name: item["value"] for name, item in found.items()}

    def resources(self) -> list[dict[str, Any]]:
        """The resources of what is deployed, as `terraform show -json` gives them."""
        values = json.loads(self.require("show", "-json", "-no-color")).get("values") or {}
        found: list[dict[str, Any]] = values.get("root_module", {}).get("resources", [])
        return [item for item in found if item.get("mode") == "managed"]


def find_terraform() -> str:
    """The executable.

    Raises:
        SettingsError: there is none.
    """
    found = shutil.which("terraform")
    if found is None:
        raise SettingsError("terraform: not on this machine; install it from https://developer.hashicorp.com/terraform")
    return found


def to_variables(values: Mapping[str, object]) -> list[str]:
    """Variables as the command takes them; those that are None keep the configuration's default."""
    return [f"-var={name}={_to_text(value)}" for name, value in values.items() if value is not None]


def explain(done: Finished) -> str:
    """The first error that it names, with what it says to it."""
    lines = [line.strip(" │╷╵") for line in done.text.splitlines()]
    start = next((number for number, line in enumerate(lines) if line.startswith("Error:")), None)
    if start is None:
        return done.last_error()
    told = [line for line in lines[start:] if line and not line.startswith(("with ", "on "))]
    return " ".join(told[:4]).removeprefix("Error:").strip()


def _to_text(value: object) -> str:
    return json.dumps(value) if isinstance(value, bool) else str(value)


def _report(line: str, report: Report) -> None:
    if any(sign in line for sign in DONE):
        report(f"         {line.partition(' after ')[0]}")
