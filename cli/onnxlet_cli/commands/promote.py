"""`onnxlet promote`: makes a version live, here or in the registry of another stack."""

from typing import Annotated

import typer

from onnxlet_cli import output, promotion
from onnxlet_cli.deploy.cloud import Options
from onnxlet_cli.options import CloudName, JsonOption, RegistryOption, SignOption
from onnxlet_cli.promotion import find_stage, find_version
from onnxlet_cli.registry import open_registry
from onnxlet_publishing.errors import UsageError
from onnxlet_publishing.sign import load_sign


def promote(
    name: Annotated[str | None, typer.Argument(help="Name of the model; with --from also NAME@ALIAS.")] = None,
    version: Annotated[
        int | None, typer.Argument(min=1, help="Version to make live (default with --from: the live one).")
    ] = None,
    source: Annotated[
        str | None, typer.Option("--from", metavar="STACK|URL", help="Copy the version from this registry.")
    ] = None,
    target: Annotated[
        str | None, typer.Option("--to", metavar="STACK|URL", help="With --from: make it live in this registry.")
    ] = None,
    cloud: Annotated[CloudName, typer.Option(help="Cloud of the stacks: aws or gcp.")] = "aws",
    region: Annotated[str | None, typer.Option(help="Region of the stacks (default: the cloud's own setting).")] = None,
    project: Annotated[str | None, typer.Option(help="With --cloud gcp: the project of the stacks.")] = None,
    state: Annotated[
        str | None, typer.Option(metavar="gs://BUCKET", help="With --cloud gcp: the bucket that deploy --state named.")
    ] = None,
    stage: Annotated[bool, typer.Option("--stage", help="With --from: copy without making it live.")] = False,
    sign: SignOption = None,
    registry: RegistryOption = None,
    json: JsonOption = False,
) -> None:
    """Make a version live; with --from and --to, first copy it to another stack, verified and with its signature."""
    if (source is None) != (target is None):
        raise UsageError("expected --from and --to together: a version goes from one registry to another")
    if source is not None and target is not None:
        where, signer = Options(region=region, project=project, state=state), load_sign(sign) if sign else None
        origin, goal = find_stage("--from", source, cloud, where), find_stage("--to", target, cloud, where)
        found = find_version(origin, name, version)
        done = promotion.promote(origin.registry, found, goal, signer, output.print_note, is_staged=stage)
        document = output.version_document(done.manifest, is_live=not stage)
        document |= {"copied": done.is_new, "moved": done.is_moved}
        output.show(document, output.version_line(done.manifest, is_live=not stage), json=json)
        return
    if name is None or version is None:
        raise UsageError("promote: expected NAME and VERSION, or --from and --to")
    manifest = open_registry(registry).promote(name, version)
    output.show(output.version_document(manifest, is_live=True), output.version_line(manifest, is_live=True), json=json)
