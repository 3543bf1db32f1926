"""`onnxlet deploy` and `onnxlet destroy`: read the options, deploy or remove, and print."""

import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from onnxlet.errors import InvalidRequestError
from onnxlet_cli import output
from onnxlet_cli.deploy.cloud import DEFAULT_NAME, Cloud, Options
from onnxlet_cli.options import CloudName, finite

CloudOption = Annotated[CloudName, typer.Option(help="aws or gcp.")]
StackOption = Annotated[str, typer.Option("--stack", "--name", metavar="NAME", help="An account may have several.")]
RegionOption = Annotated[str | None, typer.Option(help="By default the cloud's own setting, as AWS_REGION.")]
ProjectOption = Annotated[
    str | None, typer.Option(help="With --cloud gcp: the project's id, by default GOOGLE_CLOUD_PROJECT.")
]
StateOption = Annotated[
    str | None,
    typer.Option(
        metavar="gs://BUCKET", help="With --cloud gcp: Terraform's state, by default in gs://PROJECT-onnxlet-state."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]


def deploy(
    cloud: CloudOption = "aws",
    stack: StackOption = DEFAULT_NAME,
    region: RegionOption = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE.onnx", help="By default what is served now, else the local registry's only one."
        ),
    ] = None,
    registry: Annotated[
        str | None,
        typer.Option(metavar="URL", envvar="ONNXLET_REGISTRY", help="Where the model is taken from; by default local."),
    ] = None,
    auth: Annotated[
        str | None, typer.Option(help="Who may call: iam (signed requests, the default), api-key or none.")
    ] = None,
    memory: Annotated[int | None, typer.Option(metavar="MIB", min=128, max=10240, help="Of a function.")] = None,
    arch: Annotated[str | None, typer.Option(help="arm64 (AWS's default) or x86_64.")] = None,
    python: Annotated[str | None, typer.Option(metavar="X.Y", help="The functions' Python, 3.13 by default.")] = None,
    project: ProjectOption = None,
    state: StateOption = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="A parameter of template.yaml, or a variable of infra/gcp, whose default NAME= brings back.",
        ),
    ] = None,
    stage_file: Annotated[
        Path | None,
        typer.Option(
            "--stage-file", metavar="FILE", help="NAME=VALUE as --set takes it, a line each; --set outranks it."
        ),
    ] = None,
    tag: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="With --cloud aws: label the stack and all in it; others stay."),
    ] = None,
    sign: Annotated[
        Path | None,
        typer.Option(metavar="KEY.pem", help="Sign what is published, where functions have ONNXLET_PUBLIC_KEYS."),
    ] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Say what would change and cost, and change nothing.")] = False,
    requests_per_month: Annotated[int, typer.Option(min=1, help="With --plan: the traffic to cost.")] = 1_000_000,
    milliseconds: Annotated[
        float, typer.Option(callback=finite, min=0.001, help="With --plan: of a warm request on a full CPU.")
    ] = 20,
    json: JsonOption = False,
) -> None:
    """Deploy the functions with a model to your account, or bring them up to date; what is not named stays as it is."""
    # Imported only here, as elsewhere in the command: packages are proven by models, for which onnx is needed.
    from onnxlet_cli.deploy import deployment, summary
    from onnxlet_cli.deploy.bill import Traffic
    from onnxlet_publishing.sign import load_sign

    others = _parse_settings(set_ or [], stage_file)
    target = deployment.find_cloud(
        cloud,
        Options(stack, region, project, auth, memory, arch, python, others, state, _parse_tags(tag or [])),
    )
    choice = deployment.Choice(model, registry, load_sign(sign) if sign else None)
    console = output.progress()

    def report(line: str) -> None:
        console.print(line, highlight=False, markup=False)

    if plan:
        planned = deployment.plan(target, choice, report, traffic=Traffic(requests_per_month, milliseconds))
        if json:
            output.print_json(summary.plan_document(target, planned))
        else:
            summary.print_plan(planned)
        return
    done = deployment.deploy(target, choice, report)
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
    """Remove what `onnxlet deploy` has made, but for what is kept on purpose, which it names."""
    from onnxlet_cli.deploy import deployment, summary

    target = deployment.find_cloud(cloud, Options(stack, region, project, state=state))
    console = output.progress()
    console.print(f"check    {target.check_account()}", highlight=False, markup=False)
    _confirm(target, is_agreed=yes)
    kept = target.remove(lambda line: console.print(line, highlight=False, markup=False))
    if json:
        output.print_json(summary.kept_document(target, kept))
    else:
        summary.print_kept(kept)


def _parse_settings(texts: list[str], stage_file: Path | None) -> dict[str, str]:
    """Return settings by their names: those of a stage's file, and of the command line, which outrank them.

    Raises:
        InvalidRequestError: one is not of the form NAME=VALUE, or a name is in the file twice.
        OSError: the file cannot be read.
    """
    lines = [] if stage_file is None else stage_file.read_text(encoding="utf-8").splitlines()
    numbered = [(f"{stage_file}:{number}:", line.strip()) for number, line in enumerate(lines, 1)]
    filed: dict[str, str] = {}
    for place, line in numbered:
        if line and not line.startswith("#"):
            name, value = _parse_setting(place, line)
            if name in filed:
                raise InvalidRequestError(f"{place} {name}: expected each name once, got it twice")
            filed[name] = value
    return filed | dict(_parse_setting("--set", text) for text in texts)


def _parse_setting(place: str, text: str) -> tuple[str, str]:
    """Return a setting's name and value.

    Raises:
        InvalidRequestError: not of the form NAME=VALUE.
    """
    if not re.match(r"[A-Za-z]\w*=", text):
        raise InvalidRequestError(f"{place} {text}: expected NAME=VALUE")
    name, _, value = text.partition("=")
    return name, value


def _parse_tags(texts: list[str]) -> dict[str, str]:
    """Return tags by their keys.

    Raises:
        InvalidRequestError: a text is not of the form KEY=VALUE.
    """
    for text in texts:
        if not re.match(r"[^=]+=", text):
            raise InvalidRequestError(f"--tag {text}: expected KEY=VALUE")
    return {key: value for key, _, value in (text.partition("=") for text in texts)}


def _confirm(target: Cloud, *, is_agreed: bool) -> None:
    """Say what will go and what will stay, and ask.

    Raises:
        InvalidRequestError: nobody is there to answer.
    """
    for kept in target.kept():
        output.progress().print(f"keeps    {kept.kind} {kept.name}", highlight=False, markup=False)
    if is_agreed:
        return
    if not sys.stdin.isatty():
        raise InvalidRequestError("destroy asks before it removes anything: give --yes where nobody can answer")
    typer.confirm("Remove all else?", abort=True, err=True)
