"""The command of AWS SAM, which uploads the code and deploys the template.

It runs in a venv of its own, since its dependencies conflict with onnxlet's.
"""

import re
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from onnxlet_cli.deploy.process import Finished, Report, run_tool
from onnxlet_publishing.errors import MachineError

TEMPLATE = "template.yaml"
CODE = "dist/onnxlet-aws"
"""The folder that the template names as the functions' code: the unpacked package."""
VENV = ".venv-deploy"
"""The venv that `make deploy` installs SAM into, if this machine does not have it."""

CAPABILITIES = ("CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND")
CONFIG_ENVIRONMENT = "onnxlet-deploy"
NO_CHANGE = "No changes to deploy"
CHANGE_SET = re.compile(r"arn:aws[\w-]*:cloudformation:[\w-]*:\d*:changeSet/\S+")
RESOURCE_EVENT = re.compile(r"^(?P<status>(?:CREATE|UPDATE|DELETE)_(?:COMPLETE|FAILED))\s+AWS::\S+\s+(?P<resource>\w+)")
"""A row of the table that SAM prints while a stack changes."""

FILE_MODE = 0o644
FOLDER_MODE = 0o755
"""The permissions of the code, whatever this machine's umask: Lambda runs functions as another user."""


@dataclass(frozen=True)
class Sam:
    """SAM's command for one stack."""

    executable: str
    root: Path
    stack: str
    region: str
    environment: Mapping[str, str | None]
    """Variables that make SAM use the credentials of this command; None removes a variable of this process."""

    def deploy(
        self, parameters: Mapping[str, str], tags: Mapping[str, str], report: Report, *, is_executed: bool
    ) -> Finished:
        """Upload the code and deploy the template, or only create its change set; report each resource that changes.

        Parameters that are missing here stay as they are deployed; SAM removes tags that are missing here.
        """
        command = [self.executable, "deploy", "--template-file", str(self.root / TEMPLATE), "--stack-name", self.stack]
        command += ["--region", self.region, "--resolve-s3", "--s3-prefix", self.stack]
        # No file has this environment: the settings in samconfig.toml, such as a profile, are for running sam by hand.
        command += ["--config-env", CONFIG_ENVIRONMENT]
        command += ["--no-confirm-changeset", "--no-fail-on-empty-changeset", "--no-progressbar"]
        command += ["--capabilities", *CAPABILITIES]
        if not is_executed:
            command.append("--no-execute-changeset")
        if tags:
            command += ["--tags", *(to_tag(*tag) for tag in tags.items())]
        command += ["--parameter-overrides", *(to_override(*parameter) for parameter in parameters.items())]
        variables = {"SAM_CLI_TELEMETRY": "0", "AWS_DEFAULT_REGION": self.region, "AWS_REGION": self.region}
        return run_tool(command, self.root, {**self.environment, **variables}, lambda line: _report_event(line, report))


def find_sam(root: Path) -> str:
    """Return SAM's executable, from the PATH or from the checkout's venv.

    Raises:
        MachineError: SAM is not installed.
    """
    found = shutil.which("sam") or shutil.which(str(root / VENV / "bin/sam"))
    if found is None:
        raise MachineError(
            "sam: AWS SAM's command is not on this machine; install it with `pipx install aws-sam-cli`, or in a "
            "checkout with `make .venv-deploy`"
        )
    return found


def require_template(root: Path) -> None:
    """Raise a MachineError if a folder is no checkout with the template."""
    path = root / TEMPLATE
    if not path.is_file():
        raise MachineError(f"{path}: not there; run the command from a checkout of the repository")


def unpack(package: Path, folder: Path) -> None:
    """Replace a folder with the files of a package, which SAM zips again.

    Raises:
        MachineError: the folder cannot be written.
    """
    try:
        shutil.rmtree(folder, ignore_errors=True)
        with zipfile.ZipFile(package) as archive:
            archive.extractall(folder)
        for path in [folder, *folder.rglob("*")]:
            path.chmod(FOLDER_MODE if path.is_dir() else FILE_MODE)
    except OSError as error:
        raise MachineError(f"{folder}: cannot be written: {error.strerror}") from error


def to_override(name: str, value: str) -> str:
    """Return a parameter in the form that SAM reads."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'{name}="{escaped}"'


def to_tag(key: str, value: str) -> str:
    """Return a tag in the form that SAM reads: quoted if it has more equals signs than the one in the middle."""
    return f'"{key}"="{value}"' if "=" in f"{key}{value}" else f"{key}={value}"


def _report_event(line: str, report: Report) -> None:
    match = RESOURCE_EVENT.match(line)
    if match:
        report(f"         {match['status']:<16} {match['resource']}")
