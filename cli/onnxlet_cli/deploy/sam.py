"""AWS SAM's command, which packages and deploys the template; its dependencies fight ours, so it lives elsewhere."""

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from onnxlet.errors import SettingsError
from onnxlet_cli.deploy.process import Finished, Report, run_tool, silent

TEMPLATE = "template.yaml"
CODE = "dist/onnxlet-aws"
"""What the template's functions name as their code: the package, unpacked."""
VENV = ".venv-deploy"
"""Where `make deploy` puts the command, if there is none on this machine."""

CAPABILITIES = ("CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND")
CONFIG_ENVIRONMENT = "onnxlet-deploy"
NO_CHANGE = "No changes to deploy"
CHANGE_SET = re.compile(r"arn:aws[\w-]*:cloudformation:[\w-]*:\d*:changeSet/\S+")
RESOURCE_EVENT = re.compile(r"^(?P<status>(?:CREATE|UPDATE|DELETE)_(?:COMPLETE|FAILED))\s+AWS::\S+\s+(?P<resource>\w+)")
"""A row of the table that is printed while a stack changes."""


@dataclass(frozen=True)
class Sam:
    """The command, for one stack."""

    executable: str
    root: Path
    """Of the checkout."""
    stack: str
    region: str
    environment: Mapping[str, str | None] = field(default_factory=dict)
    """By which it is the caller that this command is; None takes a variable of this process out."""

    @property
    def code(self) -> Path:
        """Where the template's functions have their code."""
        return self.root / CODE

    def deploy(
        self,
        parameters: Mapping[str, str],
        report: Report = silent,
        *,
        tags: Mapping[str, str] | None = None,
        is_executed: bool = True,
    ) -> Finished:
        """Upload the code and deploy the template; parameters that are not given stay as they are.

        Args:
            parameters: The template's.
            tags: All of the stack's: SAM takes off those that are not given.
            report: Takes a line for each resource that has changed.
            is_executed: Whether the change set is executed, or only made.
        """
        command = [self.executable, "deploy", "--template-file", str(self.root / TEMPLATE), "--stack-name", self.stack]
        command += ["--region", self.region, "--resolve-s3", "--s3-prefix", self.stack]
        # An environment that no file has: what samconfig.toml says, as a profile, is for whoever runs sam by hand.
        command += ["--config-env", CONFIG_ENVIRONMENT]
        command += ["--no-confirm-changeset", "--no-fail-on-empty-changeset", "--no-progressbar"]
        command += ["--capabilities", *CAPABILITIES]
        if not is_executed:
            command.append("--no-execute-changeset")
        if tags:
            command += ["--tags", *(to_tag(*each) for each in tags.items())]
        command += ["--parameter-overrides", *(to_override(*each) for each in parameters.items())]
        where = {"SAM_CLI_TELEMETRY": "0", "AWS_DEFAULT_REGION": self.region, "AWS_REGION": self.region}
        return run_tool(command, self.root, {**self.environment, **where}, lambda line: _report_event(line, report))


def find_sam(root: Path) -> str:
    """The executable, on the PATH or in the checkout's venv for it.

    Raises:
        SettingsError: there is none.
    """
    found = shutil.which("sam") or shutil.which(str(root / VENV / "bin/sam"))
    if found is None:
        raise SettingsError(
            "sam: AWS SAM's command is not on this machine; install it with `pipx install aws-sam-cli`, or in a "
            "checkout with `make .venv-deploy`"
        )
    return found


def require_template(root: Path) -> None:
    """See that this is a checkout.

    Raises:
        SettingsError: it is not.
    """
    path = root / TEMPLATE
    if not path.is_file():
        raise SettingsError(f"{path}: not there; run the command from a checkout of the repository")


def to_override(name: str, value: str) -> str:
    """A parameter as the command takes it."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'{name}="{escaped}"'


def to_tag(key: str, value: str) -> str:
    """Return a tag as the command takes it, which splits at the only equals sign, or reads quotes."""
    return f'"{key}"="{value}"' if "=" in f"{key}{value}" else f"{key}={value}"


def _report_event(line: str, report: Report) -> None:
    match = RESOURCE_EVENT.match(line)
    if match:
        report(f"         {match['status']:<16} {match['resource']}")
