"""Run: a model's way from data to a published version, in the order in which it happens."""

import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

# TensorFlow's oneDNN kernels round differently on every kind of CPU; a run should repeat.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
from rich.console import Console

from onnxlet.contract import layout
from onnxlet.contract.manifest import Classification, Manifest
from onnxlet.registry import Registry
from training import data, plots, provenance
from training.evaluate import Evaluation, evaluate
from training.export import Exported, export
from training.onnx_file import read_onnx
from training.publish import Candidate, publish
from training.recipe import Options, Recipe
from training.train import Trained, train
from training.verify import verify


@dataclass(frozen=True)
class Run:
    """What a run left behind."""

    folder: Path
    manifest: Manifest
    evaluation: Evaluation
    test: data.Split


def run(
    recipe: Recipe,
    options: Options,
    registry: Registry,
    folder: Path,
    console: Console,
    alias: str | None = layout.LIVE,
) -> Run:
    """Take a recipe from its data to a version that the functions answer for.

    Raises:
        ArtifactError: the exported graph is not the network; nothing was published.
        StoreError: the registry does not answer.
    """
    folder.mkdir(parents=True, exist_ok=True)
    dataset = data.load(recipe, options)
    console.print(
        f"data     {recipe.title}: {len(dataset.train.labels)} training, {len(dataset.validation.labels)} validation, "
        f"{len(dataset.test.labels)} test images",
        highlight=False,
    )
    trained = train(recipe, dataset, options, folder, console)
    console.print(f"train    {trained.duration_s:.1f} s, kept epoch {trained.best_epoch}", highlight=False)

    expected = trained.model.predict(dataset.test.inputs, verbose=0)
    evaluation = evaluate(expected, dataset.test.labels, recipe.labels)
    console.print(f"evaluate accuracy {evaluation.accuracy:.4f}, mean F1 {evaluation.f1:.4f}", highlight=False)

    exported = export(trained.path, dataset.test, expected)
    console.print(
        f"export   {exported.path.name}, {exported.path.stat().st_size} bytes, "
        f"within {exported.max_difference:.1g} of Keras on the test split",
        highlight=False,
    )
    candidate = _candidate(recipe, options, dataset, evaluation, exported)
    verified = verify(candidate, dataset.test, expected)
    console.print(f"verify   the functions gave the same label for {verified} PNG files", highlight=False)

    _write_record(folder, recipe, options, trained, evaluation, candidate)
    manifest = publish(registry, candidate, alias)
    console.print(f"publish  {manifest.model} version {manifest.version} in {registry.store.url}", highlight=False)
    return Run(folder, manifest, evaluation, dataset.test)


def default_folder(recipe: Recipe) -> Path:
    """A new folder for a run, named by the recipe and the time."""
    return Path("runs") / f"{recipe.name}-{datetime.now(UTC):%Y%m%d-%H%M%S}"


def _candidate(
    recipe: Recipe, options: Options, dataset: data.Dataset, evaluation: Evaluation, exported: Exported
) -> Candidate:
    return Candidate(
        name=recipe.name,
        model=read_onnx(exported.path),
        source=f"recipe:{recipe.name}",
        preprocess=recipe.preprocess,
        classification=Classification(recipe.labels),
        metrics={**evaluation.metrics(), "export_max_difference": exported.max_difference},
        data_sha256=dataset.sha256,
        seed=options.seed,
        frameworks=provenance.frameworks(keras.backend.backend()),
        git_revision=provenance.git_revision(),
    )


def _write_record(
    folder: Path, recipe: Recipe, options: Options, trained: Trained, evaluation: Evaluation, candidate: Candidate
) -> None:
    """Write `run.json` and the plots: everything needed to judge the run, or to repeat it."""
    record: dict[str, Any] = {
        "recipe": recipe.name,
        "options": options.to_document(),
        "data_sha256": candidate.data_sha256,
        "frameworks": candidate.frameworks,
        "git_revision": candidate.git_revision,
        "train": {
            "duration_s": trained.duration_s,
            "best_epoch": trained.best_epoch,
            "history": trained.history,
        },
        "evaluation": evaluation.to_document(),
        "export_max_difference": candidate.metrics["export_max_difference"],
    }
    (folder / "run.json").write_text(json.dumps(record, indent=2) + "\n")
    plots.write_curves(trained.history, trained.best_epoch, folder / "curves.png")
    plots.write_confusion(evaluation, folder / "confusion.png")
