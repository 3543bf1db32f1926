"""The command `onnxlet`: each subcommand reads its options, calls the room that does the work, and prints."""

import os
import shlex
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Annotated, Literal

import typer

from onnxlet import __version__, session
from onnxlet.contract import alias as actions
from onnxlet.contract import expectation, layout
from onnxlet.contract.manifest import Manifest
from onnxlet.errors import InvalidRequestError, OnnxletError, StoreError
from onnxlet.registry.registry import Sign
from onnxlet_cli import output
from onnxlet_cli.commands.bench import app as bench
from onnxlet_cli.commands.cost import cost
from onnxlet_cli.commands.deploy import deploy, destroy
from onnxlet_cli.commands.doctor import doctor
from onnxlet_cli.commands.drift import drift
from onnxlet_cli.commands.edge import edge, export_edge
from onnxlet_cli.commands.explain import explain
from onnxlet_cli.commands.keys import app as keys
from onnxlet_cli.options import CloudName, JsonOption, RegistryOption, finite
from onnxlet_cli.registry import open_registry
from onnxlet_publishing.errors import CommandError, MachineError
from onnxlet_training.errors import InterruptedRunError

STOPPED = 130
"""The exit code of a command that Ctrl-C has stopped, as shells have it: 128 and the number of SIGINT."""


def _print_version(is_requested: bool) -> None:
    if is_requested:
        output.print_line(f"onnxlet {__version__}")
        raise typer.Exit


app = typer.Typer(
    name="onnxlet",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def _onnxlet(
    _version: Annotated[
        bool, typer.Option("--version", "-V", is_eager=True, callback=_print_version, help="Print the version.")
    ] = False,
) -> None:
    """Put an ONNX model behind a cloud function."""


app.add_typer(bench, name="bench")
app.add_typer(keys, name="keys")

WeightOption = Annotated[str, typer.Option("--weight", metavar="SHARE", help="10% or 0.1; 0 ends it.")]
SignOption = Annotated[
    Path | None,
    typer.Option("--sign", metavar="KEY.pem", help="An Ed25519 private key, of `openssl genpkey -algorithm ed25519`."),
]
StageOption = Annotated[bool, typer.Option("--stage", help="Publish without making the version live.")]


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="The recipe's name, for instance digits.")],
    data: Annotated[
        str | None, typer.Option(metavar="PATH|URL", help="Data instead of the recipe's own: a file or a folder.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Instead of the recipe's number.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="For the split, the weights and the order.")] = 0,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The run's folder, by default a new one; an old one goes on.")
    ] = None,
    fast: Annotated[bool, typer.Option("--fast", help="Little data and few epochs, only to try it.")] = False,
    gpu: Annotated[
        str | None,
        typer.Option(metavar="TYPE", help="With --on: t4, l4, a100 ...; else: only with a GPU."),
    ] = None,
    on: Annotated[str | None, typer.Option(help="Train in a cloud: sagemaker or vertex.")] = None,
    image: Annotated[str, typer.Option(envvar="ONNXLET_IMAGE", help="With --on: the container's URI.")] = "",
    output_url: Annotated[str, typer.Option("--output", help="With --on: for checkpoints and the report.")] = "",
    instances: Annotated[int, typer.Option(min=1, help="With --on: how many machines.")] = 1,
    spot: Annotated[bool, typer.Option("--spot", help="With --on: on machines that may be taken away.")] = False,
    role: Annotated[str, typer.Option(help="With --on: the role's ARN, or the service account.")] = "",
    project: Annotated[str, typer.Option(help="With --on vertex.")] = "",
    region: Annotated[str, typer.Option(help="With --on; for SageMaker by default AWS_REGION.")] = "",
    stage: StageOption = False,
    compress: Annotated[bool, typer.Option("--compress", help="Also int8, pruned and distilled variants.")] = False,
    max_accuracy_drop: Annotated[
        float, typer.Option(callback=finite, min=0, max=1, help="What int8 and pruning may lose of the test accuracy.")
    ] = 0.005,
    force: Annotated[bool, typer.Option("--force", help="Publish even what is worse than the live version.")] = False,
    sign: SignOption = None,
    registry: RegistryOption = None,
    json: JsonOption = False,
) -> None:
    """Train, evaluate, export, verify and publish a model."""
    from onnxlet_training.recipe import Options
    from onnxlet_training.recipes import find_recipe

    found = find_recipe(recipe)
    found.check_data(data)
    if on is not None:
        from onnxlet_cli.jobs import Account, cloud_job, run_job

        if out is not None:
            raise InvalidRequestError("--out: a job in a cloud has its own folder; --output says where results go")
        if sign is not None:
            raise InvalidRequestError("--sign: a private key stays here; publish what the job exports, with --sign")
        chosen: dict[str, object] = {
            "data": data,
            "epochs": epochs,
            "seed": seed,
            "registry": registry,
            "gpu": gpu and "any",
            "max-accuracy-drop": max_accuracy_drop if compress else None,
        }
        flags = {"fast": fast, "stage": stage, "compress": compress, "force": force}
        job = cloud_job(recipe, {**chosen, **flags}, image, output_url)
        job = replace(job, gpu=gpu, instances=instances, is_spot=spot, region=region or None)
        run_job(on, job, Account(role, project, region), json=json)
        return
    options = Options(data=data, epochs=epochs, seed=seed, is_fast=fast, needs_gpu=gpu is not None)
    # Imported only now: Keras and its backend take seconds.
    from onnxlet_cli.jobs import check_places
    from onnxlet_publishing.quality import Margin
    from onnxlet_training.compress import Budget
    from onnxlet_training.run import default_folder, run

    target = open_registry(registry, create=True)
    check_places(target, found.name, _alias(stage), os.environ)
    margin = None if force or stage else Margin()
    budget = Budget(max_accuracy_drop) if compress else None
    folder, signed = out or default_folder(found), _sign(sign)
    with _resumable(folder, [] if out else ["--out", str(folder)]):
        done = run(found, options, target, folder, output.progress(), _alias(stage), margin, budget, signed)
    if done is None:  # another process of this job has evaluated and published
        return
    if json:
        output.print_json({**_published(done.manifests[0], stage), "folder": str(done.folder)})
    else:
        output.print_line(f"The run's record and plots are in {done.folder}")


@app.command()
def publish(
    path: Annotated[Path, typer.Argument(metavar="MODEL.onnx|DIR", help="One model, or a folder of them.")],
    name: Annotated[str | None, typer.Option(help="The model's name, by default the file's.")] = None,
    labels: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Class labels, a line each, a JSON list or an id2label.")
    ] = None,
    activation: Annotated[
        Literal["auto", "none", "softmax", "sigmoid"],
        typer.Option(help="What turns the output into probabilities; auto runs the model to find out."),
    ] = "auto",
    preprocess: Annotated[
        Path | None, typer.Option(metavar="FILE", help="How images become the input, as in a manifest (JSON).")
    ] = None,
    generation: Annotated[
        Path | None, typer.Option(metavar="FILE", help="What the model generates, as in a manifest (JSON).")
    ] = None,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="Publish the files of a folder that pass, if others do not.")
    ] = False,
    stage: StageOption = False,
    sign: SignOption = None,
    registry: RegistryOption = None,
    json: JsonOption = False,
) -> None:
    """Check ONNX models in the functions' own runtime, then publish them."""
    # Imported only here, as elsewhere in this file: onnx takes longer than most commands.
    from onnxlet_cli.publish import publish_files
    from onnxlet_publishing.importers.plain import Declarations

    declarations = Declarations(labels, preprocess, generation, activation)
    target = open_registry(registry, create=True)
    outcome = publish_files(target, path, name, declarations, _alias(stage), _sign(sign), keep_going=keep_going)
    for each in outcome.published:
        for warning in each.warnings:
            output.print_warning(warning)
    if json:
        output.print_json([{**_published(each.manifest, stage), "notes": each.notes} for each in outcome.published])
    else:
        for each in outcome.published:
            _print_published(each.manifest, each.notes, stage)
    outcome.raise_refused()


@app.command()
def models(
    name: Annotated[str | None, typer.Argument(help="One model's versions, instead of all models.")] = None,
    registry: RegistryOption = None,
    json: JsonOption = False,
) -> None:
    """List the models of the registry, or the versions of one."""
    source = open_registry(registry)
    rows, problems = output.model_rows(source) if name is None else output.version_rows(source, name)
    if json:
        output.print_json(rows)
    elif rows:
        output.print_table(rows)
    elif not problems:
        output.print_line(f"No models in {source.store.url} yet: onnxlet train digits, or onnxlet publish MODEL.onnx")
    for problem in problems:
        output.print_warning(problem)
    if problems:
        raise typer.Exit(1)


@app.command()
def prefetch(
    name: Annotated[str, typer.Argument(help="The function's default model.")],
    variant: Annotated[str | None, typer.Option(help="The function's ONNXLET_VARIANT, where it has one.")] = None,
    registry: RegistryOption = None,
) -> None:
    """Print ONNXLET_PREFETCH for a function whose default model is this one: its cold starts are one request shorter.

    When another version goes live, functions that were told still start, no faster than without.
    """
    manifest = open_registry(registry).resolve(name)
    output.print_line(expectation.to_text(manifest, variant, session.runtime().version))


@app.command()
def promote(
    name: Annotated[str | None, typer.Argument(help="The model; with --from also NAME@ALIAS.")] = None,
    version: Annotated[
        int | None, typer.Argument(min=1, help="The version that shall be live; with --from by default what is live.")
    ] = None,
    source: Annotated[
        str | None, typer.Option("--from", metavar="STACK|URL", help="Copy the version from this registry.")
    ] = None,
    target: Annotated[
        str | None, typer.Option("--to", metavar="STACK|URL", help="With --from: to this one, and make it live there.")
    ] = None,
    cloud: Annotated[CloudName, typer.Option(help="Of the stacks: aws or gcp.")] = "aws",
    region: Annotated[str | None, typer.Option(help="Of the stacks; by default the cloud's own setting.")] = None,
    project: Annotated[str | None, typer.Option(help="Of the stacks, with --cloud gcp.")] = None,
    state: Annotated[
        str | None, typer.Option(metavar="gs://BUCKET", help="Of the stacks, with --cloud gcp, as deploy takes it.")
    ] = None,
    stage: Annotated[bool, typer.Option("--stage", help="With --from: copy the version, and leave live.")] = False,
    sign: SignOption = None,
    registry: RegistryOption = None,
    json: JsonOption = False,
) -> None:
    """Make a version live; with --from and --to, copy it to another stack first, checked and with its signature."""
    if (source is None) != (target is None):
        raise InvalidRequestError("expected --from and --to together: a version goes from one registry to another")
    if source is not None and target is not None:
        from onnxlet_cli.promote import Where, between

        console = output.progress()
        done = between(
            source,
            target,
            Where(cloud, region, project, state),
            name,
            version,
            _sign(sign),
            lambda line: console.print(line, highlight=False, markup=False),
            is_staged=stage,
        )
        if json:
            output.print_json({**_published(done.manifest, stage), "copied": done.is_new, "moved": done.is_moved})
        else:
            _print_published(done.manifest, [], stage)
        return
    if name is None or version is None:
        raise InvalidRequestError("promote: expected NAME and VERSION, or --from and --to")
    _report_move(open_registry(registry).promote(name, version), json)


@app.command()
def rollback(
    name: Annotated[str, typer.Argument(help="The model.")],
    registry: RegistryOption = None,
    json: JsonOption = False,
) -> None:
    """Make the version live that was live before."""
    _report_move(open_registry(registry).rollback(name), json)


@app.command()
def canary(
    name: Annotated[str, typer.Argument(help="The model.")],
    version: Annotated[int, typer.Argument(min=1, help="The version that shall answer a share of the requests.")],
    weight: WeightOption = "10%",
    registry: RegistryOption = None,
    json: JsonOption = False,
) -> None:
    """Let a version answer a share of the requests, until live moves."""
    _share(registry, name, version, actions.CANARY, weight, json)


@app.command()
def shadow(
    name: Annotated[str, typer.Argument(help="The model.")],
    version: Annotated[int, typer.Argument(min=1, help="The version that shall get copies of requests.")],
    weight: WeightOption = "100%",
    registry: RegistryOption = None,
    json: JsonOption = False,
) -> None:
    """Give a version copies of the requests, and only log its answers, until live moves."""
    _share(registry, name, version, actions.SHADOW, weight, json)


@app.command()
def predict(
    name: Annotated[str, typer.Argument(help="The model: NAME, NAME@ALIAS or NAME@VERSION.")],
    file: Annotated[
        Path, typer.Argument(help="An image, an array (.npy), rows as JSON, or a V2 request; - reads standard input.")
    ],
    registry: RegistryOption = None,
    json: JsonOption = False,
) -> None:
    """Answer a file as the functions would, in this process."""
    from onnxlet_cli.predict import predict_file

    answer = predict_file(open_registry(registry).store.url, name, file)
    if json or "predictions" not in answer:
        output.print_json(answer)
    else:
        output.print_predictions(answer)


@app.command()
def serve(
    cloud: Annotated[CloudName, typer.Option(help="gcp (functions-framework) or aws (awslambdaric).")] = "gcp",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8080,
    model: Annotated[
        str | None, typer.Option(envvar="ONNXLET_MODEL", help="Loaded at once, and used where nothing names one.")
    ] = None,
    inbox: Annotated[Path | None, typer.Option(metavar="DIR", help="Files dropped here become object events.")] = None,
    outbox: Annotated[
        Path | None, typer.Option(metavar="DIR", help="For results, by default beside the inbox.")
    ] = None,
    registry: RegistryOption = None,
) -> None:
    """Run the functions on this machine."""
    from onnxlet_cli.edge.runtime import is_installed
    from onnxlet_cli.local.serve import LocalSettings, serve, wait

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stop what was started then, too
    source = open_registry(registry)
    if model is not None:
        source.resolve(model)  # the functions would start, and answer with an error
    has_edge, results = is_installed(source.store), os.environ.get("ONNXLET_RESULTS")
    model = model or output.only_model(source)
    settings = LocalSettings(source.store.url, model, port, inbox, outbox, has_edge, results or None)
    with serve(cloud, settings) as server:
        output.print_line(f"Serving {source.store.url} at {server.url} (Ctrl-C stops)")
        wait()


@app.command()
def package(
    cloud: Annotated[CloudName, typer.Option(help="aws (Lambda's zip) or gcp (Cloud Functions' source).")] = "aws",
    arch: Annotated[str | None, typer.Option(help="arm64 or x86_64; by default aws's arm64, gcp's x86_64.")] = None,
    python: Annotated[str, typer.Option(metavar="X.Y", help="The Python of the function's runtime.")] = "3.13",
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the zip goes.")] = Path("dist"),
    without: Annotated[str, typer.Option(metavar="NAMES", help="Left out: pillow, where no image is sent.")] = "",
    engine: Annotated[
        str, typer.Option(help="c: ONNX Runtime's library alone; python: its Python package, and numpy.")
    ] = "c",
    json: JsonOption = False,
) -> None:
    """Make the zip that a cloud deploys, and prove that it answers."""
    # Imported only here, as elsewhere in this file: its proof publishes a model, for which onnx is needed.
    from onnxlet_cli.package import summary
    from onnxlet_cli.package.build import Options, build
    from onnxlet_cli.package.target import parse_target

    names = tuple(name.strip().lower() for name in without.split(",") if name.strip())
    options = Options(parse_target(cloud, arch, python), out, engine, names)
    console = output.progress()
    built = build(options, lambda line: console.print(line, highlight=False, markup=False))
    if json:
        output.print_json(summary.document(built, options))
        return
    output.print_table(summary.rows(built))
    for warning in built.warnings:
        output.print_warning(warning)
    output.print_line(f"{summary.verdict(built)}\n{built.path}  sha256 {built.sha256}\n{built.bill}  CycloneDX")


app.command()(explain)
app.command()(drift)
app.command()(edge)
app.command()(export_edge)
app.command()(deploy)
app.command()(destroy)
app.command()(cost)
app.command()(doctor)


def main() -> None:
    """Run the command; an error is one line and exit code 1."""
    try:
        app()
    except (CommandError, OnnxletError, OSError) as error:
        output.print_error(to_error(error))
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(STOPPED)


def to_error(error: BaseException) -> Exception:
    """Return what a user reads of an error that ends a command."""
    if isinstance(error, KeyboardInterrupt):
        return InterruptedRunError("the run was stopped")
    if isinstance(error, OSError):
        return MachineError(f"{error.filename or 'this machine'}: {error.strerror or error}")
    assert isinstance(error, Exception)
    return error


@contextmanager
def _resumable(folder: Path, more: Sequence[str]) -> Iterator[None]:
    """Name the command that continues a run where the run was stopped, or lost its store, and has saved something.

    Args:
        folder: The run's, which is gone where nothing was saved.
        more: Arguments that the user did not give, and that the command needs.
    """

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise InterruptedRunError("the run was stopped")

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except (InterruptedRunError, KeyboardInterrupt, StoreError, OSError) as error:
        output.print_error(to_error(error))
        if folder.exists():
            output.print_note(f"Resume: {shlex.join(['onnxlet', *sys.argv[1:], *more])}")
        raise typer.Exit(STOPPED if isinstance(error, KeyboardInterrupt) else 1) from error
    finally:
        signal.signal(signal.SIGTERM, before)


def _sign(path: Path | None) -> Sign | None:
    if path is None:
        return None
    from onnxlet_publishing.sign import load_sign

    return load_sign(path)


def _alias(is_staged: bool) -> str | None:
    return None if is_staged else layout.LIVE


def _print_published(manifest: Manifest, notes: list[str], is_staged: bool) -> None:
    for note in notes:
        output.print_line(note)
    signed = f", signed by {manifest.signature['public_key']}" if manifest.signature else ""
    output.print_line(f"{manifest.model} version {manifest.version} {'staged' if is_staged else 'is live'}{signed}")


def _published(manifest: Manifest, is_staged: bool) -> dict[str, object]:
    return {"model": manifest.model, "version": manifest.version, "live": not is_staged}


def _share(registry: str | None, name: str, version: int, action: str, weight: str, json: bool) -> None:
    share = parse_weight(weight)
    manifest = open_registry(registry).share(name, version, action, share)
    if json:
        output.print_json({"model": manifest.model, "version": manifest.version, action: share})
    elif share:
        output.print_line(f"{manifest.model} version {manifest.version} is the {action} of {share:.4g} of the requests")
    else:
        output.print_line(f"{manifest.model} has no {action} any more")


def parse_weight(text: str) -> float:
    """A share of one: `10%` or `0.1`.

    Raises:
        InvalidRequestError: neither.
    """
    try:
        return float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError as error:
        raise InvalidRequestError(f"--weight {text}: expected a share like 10% or 0.1") from error


def _report_move(manifest: Manifest, json: bool) -> None:
    if json:
        output.print_json(_published(manifest, is_staged=False))
    else:
        output.print_line(f"{manifest.model} version {manifest.version} is live")


if __name__ == "__main__":
    main()
