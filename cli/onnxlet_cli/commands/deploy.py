"""`onnxlet deploy` and `onnxlet destroy`: read the options, deploy or remove, and print."""

import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from onnxlet_cli import output
from onnxlet_cli.deploy.cloud import DEFAULT_NAME, Cloud, Options
from onnxlet_cli.options import CloudName, JsonOption, finite
from onnxlet_publishing.errors import UsageError

CloudOption = Annotated[CloudName, typer.Option(help="aws or gcp.")]
StackOption = Annotated[
    str, typer.Option("--stack", "--name", metavar="NAME", help="Name of the stack; an account may have several.")
]
RegionOption = Annotated[str | None, typer.Option(help="By default the setting of the cloud, for instance AWS_REGION.")]
ProjectOption = Annotated[
    str | None, typer.Option(help="With --cloud gcp: the project's id, by default GOOGLE_CLOUD_PROJECT.")
]
StateOption = Annotated[
    str | None,
    typer.Option(
        metavar="gs://BUCKET", help="With --cloud gcp: Terraform's state, by default in gs://PROJECT-onnxlet-state."
    ),
]
SETTING = r"[A-Za-z]\w*="
"""The beginning of a setting: a name, and the sign after it."""


def deploy(
    cloud: CloudOption = "aws",
    stack: StackOption = DEFAULT_NAME,
    region: RegionOption = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|PATH|hf:ORG/NAME",
            help="A model of the registry, or what publish takes. By default the deployed model, or else the only one "
            "of the registry.",
        ),
    ] = None,
    registry: Annotated[
        str | None,
        typer.Option(
            metavar="URL", envvar="ONNXLET_REGISTRY", help="Registry with the model; by default the local one."
        ),
    ] = None,
    auth: Annotated[
        str | None, typer.Option(help="Who may call: iam (signed requests, the default), api-key or none.")
    ] = None,
    memory: Annotated[int | None, typer.Option(metavar="MIB", min=128, max=10240, help="Memory of a function.")] = None,
    arch: Annotated[str | None, typer.Option(help="arm64 (AWS's default) or x86_64.")] = None,
    python: Annotated[str | None, typer.Option(metavar="X.Y", help="The functions' Python, 3.13 by default.")] = None,
    project: ProjectOption = None,
    state: StateOption = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="A parameter of template.yaml, or a variable of infra/gcp; NAME= brings its default back.",
        ),
    ] = None,
    stage_file: Annotated[
        Path | None,
        typer.Option(
            "--stage-file",
            metavar="FILE",
            help="File with a NAME=VALUE as for --set on each line; --set replaces its values.",
        ),
    ] = None,
    tag: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="With --cloud aws: a tag of the stack and its resources; others stay."),
    ] = None,
    sign: Annotated[
        Path | None,
        typer.Option(metavar="KEY.pem", help="Sign the published version, for functions with ONNXLET_PUBLIC_KEYS."),
    ] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Show the changes and the costs, and change nothing.")] = False,
    requests_per_month: Annotated[int, typer.Option(min=1, help="With --plan: the traffic to cost.")] = 1_000_000,
    milliseconds: Annotated[
        float, typer.Option(callback=finite, min=0.001, help="With --plan: of a warm request on a full CPU.")
    ] = 20,
    json: JsonOption = False,
) -> None:
    """Deploy the functions with a model to your account, or bring them up to date; what is not named stays as it is."""
    # Imported only here, as elsewhere in the command: packages are proven by models, for which onnx is needed.
    from onnxlet_cli.deploy import deployment, summary
    from onnxlet_publishing.sign import load_sign

    others = _parse_settings(set_ or [], stage_file)
    tags = dict(_parse_pair("--tag", text, "KEY=VALUE", r"[^=]+=") for text in tag or [])
    target = deployment.find_cloud(
        cloud,
        Options(stack, region, project, auth, memory, arch, python, others, state, tags),
    )
    choice = deployment.Choice(model, registry, load_sign(sign) if sign else None)
    if plan:
        planned = deployment.plan(
            target, choice, output.print_note, requests_per_month=requests_per_month, milliseconds=milliseconds
        )
        if json:
            output.print_json(summary.plan_document(target, planned))
        else:
            summary.print_plan(planned)
        return
    done = deployment.deploy(target, choice, output.print_note)
    if json:
        output.print_json(summary.document(target, done))
    else:
        summary.print_deployment(target, done)


def destroy(
    cloud: CloudOption = "aws",
    stack: StackOption = DEFAULT_NAME,
    region: RegionOption = None,
    project: ProjectOption = None,
    state: StateOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    json: JsonOption = False,
) -> None:
    """Remove what `onnxlet deploy` made, and name what is kept on purpose."""
    from onnxlet_cli.deploy import deployment, summary

    target = deployment.find_cloud(cloud, Options(stack, region, project, state=state))
    output.print_note(f"check    {target.check_account()}")
    _confirm(target, is_agreed=yes)
    retained = target.remove(output.print_note)
    if json:
        output.print_json(summary.removal_document(target, retained))
    else:
        summary.print_removal(retained)


def _parse_settings(texts: list[str], stage_file: Path | None) -> dict[str, str]:
    """Return the settings of a stage's file, replaced by those of the command line.

    Raises:
        UsageError: a setting is not of the form NAME=VALUE, or a name is in the file twice.
        OSError: the file cannot be read.
    """
    lines = [] if stage_file is None else stage_file.read_text(encoding="utf-8").splitlines()
    settings: dict[str, str] = {}
    for number, line in enumerate(map(str.strip, lines), 1):
        if line and not line.startswith("#"):
            place = f"{stage_file}:{number}:"
            name, value = _parse_pair(place, line, "NAME=VALUE", SETTING)
            if name in settings:
                raise UsageError(f"{place} {name}: expected each name once, got it twice")
            settings[name] = value
    return settings | dict(_parse_pair("--set", text, "NAME=VALUE", SETTING) for text in texts)


def _parse_pair(place: str, text: str, form: str, pattern: str) -> tuple[str, str]:
    """Return the name and the value of a text of this form.

    Raises:
        UsageError: the text is not of the form.
    """
    if not re.match(pattern, text):
        raise UsageError(f"{place} {text}: expected {form}")
    name, _, value = text.partition("=")
    return name, value


def _confirm(target: Cloud, *, is_agreed: bool) -> None:
    """Print what will be kept, and ask for a confirmation.

    Raises:
        UsageError: there is no terminal for the answer.
    """
    for resource in target.retained():
        output.print_note(f"keeps    {resource.kind} {resource.name}")
    if is_agreed:
        return
    if not sys.stdin.isatty():
        raise UsageError("destroy asks before it removes anything: give --yes without a terminal")
    typer.confirm("Remove everything else?", abort=True, err=True)
