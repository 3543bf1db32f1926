"""The errors that Terraform prints, and which of them waiting can mend."""

import re

from onnxlet_cli.deploy.process import Finished
from onnxlet_cli.errors import ToolError

PLACE = re.compile(r"(?:with|on) |\d+:|├")
"""The beginning of the lines that say where in the configuration an error is."""
SHOWN_LINES = 4
"""The most lines of an error that are shown."""

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
"""The errors of Google about permissions, service agents and services that were made a moment ago, and the error of
Terraform if somebody else deployed between a plan and its application. The accounts are the ones that Google or this
configuration makes: an account that the user names and that does not exist stays missing.

Source: terraform-provider-google #9969, #14584, #15572, #25294; terraform-docs-samples #486; Service Usage, "API has
not been used in project before or it is disabled ... wait a few minutes"."""


class TerraformError(ToolError):
    """Terraform's command failed."""

    def __init__(self, text: str, finished: Finished) -> None:
        super().__init__(text)
        self.why = explain(finished)
        """The first error that Terraform printed."""
        errors = _errors(finished)
        self.is_late = bool(errors) and all(map(_is_late, errors))
        """Whether the same command may succeed later: Google was not ready yet, and there is no other error."""


def explain(done: Finished) -> str:
    """Return the first error that Terraform printed, shortened; preferably one that waiting does not mend."""
    errors = sorted(_errors(done), key=_is_late)
    return " ".join(errors[0][:SHOWN_LINES]) if errors else done.last_error()


def _errors(done: Finished) -> list[list[str]]:
    """Return the lines of each error, without its place in the configuration."""
    errors: list[list[str]] = []
    for line in (line.strip(" \t│╷╵") for line in done.text.splitlines()):
        if line.startswith("Error:"):
            errors.append([line.removeprefix("Error:").strip()])
        elif errors and line and not PLACE.match(line):
            errors[-1].append(line)
    return errors


def _is_late(lines: list[str]) -> bool:
    return LATE.search(" ".join(lines)) is not None
