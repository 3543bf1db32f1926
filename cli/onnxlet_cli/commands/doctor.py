"""`onnxlet doctor`: reads the options, runs the checks, and prints the findings."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import typer

from onnxlet_cli import output
from onnxlet_cli.doctor.examine import examine
from onnxlet_cli.doctor.finding import Finding
from onnxlet_cli.options import JsonOption


def doctor(
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="[REGISTRY_URL|FUNCTION_URL|STACK:name|PACKAGE.zip]",
            help="What to check in addition to this machine; by default the registry.",
        ),
    ] = None,
    registry: Annotated[
        str | None,
        typer.Option(
            "--registry",
            metavar="URL",
            envvar="ONNXLET_REGISTRY",
            help="Registry to compare a function or a stack with.",
        ),
    ] = None,
    memory: Annotated[
        int | None, typer.Option(metavar="MIB", min=128, help="Memory of the function that will load the models.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Check this machine, a registry, a function, a stack or a package, and say what is wrong and what to do."""
    findings = []
    for finding in examine(target, registry, memory):
        findings.append(finding)
        if not json:
            output.print_line(finding.to_line())
    if json:
        output.print_json([asdict(finding) for finding in findings])
    else:
        output.print_line(summary(findings))
    if any(finding.severity == "error" for finding in findings):
        raise typer.Exit(1)


def summary(findings: Sequence[Finding]) -> str:
    """Return the line that counts the findings by severity."""
    counts = Counter(finding.severity for finding in findings)
    if counts["error"] or counts["warning"]:
        return f"{_plural(counts['error'], 'error')}, {_plural(counts['warning'], 'warning')}, {counts['ok']} in order"
    return f"Nothing is wrong: {counts['ok']} checks"


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
