"""`onnxlet train`: trains a recipe here or in a cloud, and publishes the model."""

import os
import shlex
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from onnxlet.contract import layout
from onnxlet.errors import StoreError
from onnxlet_cli import output
from onnxlet_cli.jobs import Account, check_places, cloud_job, run_job
from onnxlet_cli.main import STOPPED, to_error
from onnxlet_cli.options import JsonOption, RegistryOption, SignOption, StageOption, finite
from onnxlet_cli.registry import open_registry
from onnxlet_publishing.errors import UsageError
from onnxlet_publishing.quality import Margin
from onnxlet_publishing.sign import load_sign
from onnxlet_training.errors import InterruptedRunError
from onnxlet_training.recipe import Options
from onnxlet_training.recipes import find_recipe


def train(
    recipe: Annotated[str, typer.Argument(help="Name of the recipe, for example digits.")],
    data: Annotated[
        str | None, typer.Option(metavar="PATH|URL", help="File or folder to train on instead of the recipe's data.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Number of epochs (default: the recipe's).")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the split, the weights and the order.")] = 0,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of the run (default: a new one); resumes an old run.")
    ] = None,
    fast: Annotated[bool, typer.Option("--fast", help="Try the recipe with little data and few epochs.")] = False,
    gpu: Annotated[
        str | None,
        typer.Option(metavar="TYPE", help="With --on: t4, l4, a100 ...; without it: refuse to train without a GPU."),
    ] = None,
    on: Annotated[str | None, typer.Option(help="Train in a cloud: sagemaker or vertex.")] = None,
    image: Annotated[str, typer.Option(envvar="ONNXLET_IMAGE", help="With --on: URI of the container image.")] = "",
    output_url: Annotated[
        str, typer.Option("--output", help="With --on: URL for the checkpoints and the report.")
    ] = "",
    instances: Annotated[int, typer.Option(min=1, help="With --on: number of machines.")] = 1,
    spot: Annotated[bool, typer.Option("--spot", help="With --on: use machines that the cloud may take back.")] = False,
    role: Annotated[str, typer.Option(help="With --on: ARN of the role, or the service account.")] = "",
    project: Annotated[str, typer.Option(help="With --on vertex: the Google Cloud project.")] = "",
    region: Annotated[str, typer.Option(help="With --on: the region (default for SageMaker: AWS_REGION).")] = "",
    stage: StageOption = False,
    compress: Annotated[bool, typer.Option("--compress", help="Make int8, pruned and distilled variants.")] = False,
    max_accuracy_drop: Annotated[
        float,
        typer.Option(callback=finite, min=0, max=1, help="Test accuracy that int8 and pruned variants may lose."),
    ] = 0.005,
    force: Annotated[
        bool, typer.Option("--force", help="Publish even if the model is worse than the live version.")
    ] = False,
    sign: SignOption = None,
    registry: RegistryOption = None,
    json: JsonOption = False,
) -> None:
    """Train, evaluate, export, verify and publish a model."""
    known = find_recipe(recipe)
    known.check_data(data)
    if on is not None:
        if out is not None:
            raise UsageError("--out: a job in a cloud has its own folder; --output says where the results go")
        if sign is not None:
            raise UsageError("--sign: a private key stays here; publish what the job exports, with --sign")
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
    # Imported only now: Keras and its backend take seconds.
    from onnxlet_training.run import default_folder, run

    target = open_registry(registry, create=True)
    alias = None if stage else layout.LIVE
    check_places(target, known.name, alias, os.environ)
    options = Options(data=data, epochs=epochs, seed=seed, is_fast=fast, needs_gpu=gpu is not None)
    margin = None if force or stage else Margin()
    max_drop = max_accuracy_drop if compress else None
    signer = load_sign(sign) if sign else None
    folder = out or default_folder(known)
    with _resumable(folder, [] if out else ["--out", str(folder)]):
        done = run(known, options, target, folder, output.progress(), alias, margin, max_drop, signer)
    if done is not None:  # else another process of this job evaluates and publishes
        document = {**output.version_document(done.manifests[0], is_live=not stage), "folder": str(done.folder)}
        output.show(document, f"The report and the record of the run are in {done.folder}", json=json)


@contextmanager
def _resumable(folder: Path, more: Sequence[str]) -> Iterator[None]:
    """Print the command that resumes a run which was stopped, or which lost its store, after it saved something.

    The run's folder is gone if nothing was saved; `more` are arguments that the user did not give.
    """

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise InterruptedRunError("the run was stopped")

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except (InterruptedRunError, KeyboardInterrupt, StoreError, OSError) as error:
        stopped = InterruptedRunError("the run was stopped")
        output.print_error(stopped if isinstance(error, KeyboardInterrupt) else to_error(error))
        if folder.exists():
            output.print_note(f"Resume: {shlex.join(['onnxlet', *sys.argv[1:], *more])}")
        raise typer.Exit(STOPPED if isinstance(error, KeyboardInterrupt) else 1) from error
    finally:
        signal.signal(signal.SIGTERM, before)
