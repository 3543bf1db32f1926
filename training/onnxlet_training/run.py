"""Run: the stages from data to a published version, in their order."""

import json
import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

# TensorFlow's oneDNN kernels round differently on every kind of CPU; a run should repeat.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from rich.console import Console

from onnxlet.contract import layout
from onnxlet.contract.manifest import Manifest
from onnxlet.registry.registry import Registry, Sign
from onnxlet_publishing import provenance
from onnxlet_publishing.candidate import Candidate
from onnxlet_publishing.gate import pass_gate
from onnxlet_publishing.onnx_file import read_onnx
from onnxlet_publishing.publish import store_all
from onnxlet_publishing.quality import Margin, check_activations, check_not_worse
from onnxlet_training import data
from onnxlet_training.compare import Variant, with_variants
from onnxlet_training.export import Exported, export
from onnxlet_training.recipe import Dataset, Fitted, Measured, Options, Recipe
from onnxlet_training.report import write_report
from onnxlet_training.tasks.classification import ClassificationTask

PUBLICATION = "publication"
"""The file, in a run's folder, with the random name of its publication: a run that was killed after it published finds
its own version by this name, and publishes no second one."""


@dataclass(frozen=True)
class Run:
    """The result of a run."""

    folder: Path
    manifests: list[Manifest]
    """The published manifests, the main model's first."""
    measured: Measured
    dataset: Dataset


def run(
    recipe: Recipe,
    options: Options,
    registry: Registry,
    folder: Path,
    console: Console,
    alias: str | None = layout.LIVE,
    margin: Margin | None = None,
    max_accuracy_drop: float | None = None,
    sign: Sign | None = None,
) -> Run | None:
    """Take a recipe from its data to versions that the functions serve.

    A run that was killed resumes if it is started again with the same folder. A run that fails before it writes
    anything leaves no folder.

    The alias moves to the new versions, which may be worse than the live one by the margin, if there is one. A
    compressed variant of a classifier may lose `max_accuracy_drop`; None makes no variants. The result is None in all
    processes of a job but the first, which evaluates and publishes for all.

    Raises:
        UsageError, DataError: the data cannot be used.
        MachineError: a framework or a GPU is missing.
        ModelError, ArtifactError: an exported graph is not the network, or is worse than the live version; nothing was
            published.
        InterruptedRunError: the process was asked to end.
        StoreError: the registry does not answer.
    """

    def report(stage: str, text: str) -> None:
        console.print(f"{stage:8} {text}", highlight=False)

    with _run_folder(folder):
        dataset = data.load(recipe, options, folder / "data")
        sizes = (len(split) for split in (dataset.train, dataset.validation, dataset.test))
        report("data", f"{recipe.title}: {'{} training, {} validation, {} test examples'.format(*sizes)}")

        fitted = recipe.network.fit(recipe, dataset, options, folder, console)
        if fitted.rank != 0:
            return None
        report("train", f"{fitted.duration_s:.1f} s, kept epoch {fitted.best_epoch}")

        measured = recipe.task.measure(fitted, dataset)
        report("evaluate", measured.headline)

        exports = export(fitted, dataset, folder)
        for exported in exports:
            size = exported.path.stat().st_size
            report("export", f"{exported.path.name}, {size} bytes, within {exported.max_difference:.1g} of the network")

        variants = _compress(recipe, options, fitted, dataset, exports[0].path, max_accuracy_drop)
        for variant in variants[1:]:
            figures = f"{variant.size_bytes} bytes, accuracy {variant.accuracy:.4f}"
            report("compress", f"{variant.name}, {figures}: {variant.reason}")

        candidates = _candidates(recipe, options, folder, dataset, measured, exports)
        candidates[0] = with_variants(candidates[0], variants)
        passed = [pass_gate(candidate) for candidate in candidates]
        check_activations(passed)
        for exported, gated in zip(exports, passed, strict=True):
            report("verify", recipe.task.verify(gated.model, fitted, dataset, exported.suffix))
        if margin is not None:
            check_not_worse(registry, candidates[0], margin)

        _write_record(recipe, options, folder, fitted, measured, exports, variants, candidates[0])
        recipe.task.draw(measured, fitted, dataset, folder)
        report("report", str(write_report(folder)))

        manifests = store_all(registry, passed, alias, sign)
        for manifest in manifests:
            command = f"onnxlet promote {manifest.model} {manifest.version}"
            state = f"is {alias}" if alias else f"staged: {command} makes it live"
            report("publish", f"{manifest.model} version {manifest.version} in {registry.store.url}, {state}")
        return Run(folder, manifests, measured, dataset)


@contextmanager
def _run_folder(folder: Path) -> Iterator[None]:
    """Create a run's folder; if the run fails, remove the folders that it created and left empty."""
    created = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        inside = [path for path in folder.rglob("*") if path.is_dir()]
        for path in (*reversed(inside), *created):  # the deepest first
            with suppress(OSError):  # it is not empty
                path.rmdir()
        raise


def _compress(
    recipe: Recipe, options: Options, fitted: Fitted, dataset: Dataset, path: Path, max_accuracy_drop: float | None
) -> list[Variant]:
    """Return the variants of a classifier, the original first; otherwise, or if none are wanted, return no variants."""
    if max_accuracy_drop is None or not isinstance(recipe.task, ClassificationTask):
        return []
    from onnxlet_training.compress import compress  # imports Keras, which not every recipe needs

    return compress(recipe, fitted, dataset, path, options, max_accuracy_drop)


def default_folder(recipe: Recipe) -> Path:
    """Return a new folder for a run, named after the recipe, the time and a random number."""
    return Path("runs") / f"{recipe.name}-{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def _candidates(
    recipe: Recipe, options: Options, folder: Path, dataset: Dataset, measured: Measured, exports: list[Exported]
) -> list[Candidate]:
    frameworks, revision = provenance.frameworks(recipe.network.framework), provenance.git_revision()
    servings = [recipe.task.declare(recipe, dataset, exported.suffix) for exported in exports]
    return [
        Candidate(
            name=f"{recipe.name}{exported.suffix}",
            model=read_onnx(exported.path),
            source=f"recipe:{recipe.name}",
            preprocess=serving.preprocess,
            classification=serving.classification,
            generation=serving.generation,
            example=serving.example,
            metrics={**measured.metrics, **exported.metrics()},
            training_statistics=measured.statistics,
            data_sha256=dataset.sha256,
            seed=options.seed,
            frameworks=frameworks,
            git_revision=revision,
            golden=exported.golden,
            publication=f"{_publication(folder)}{exported.suffix}",
        )
        for exported, serving in zip(exports, servings, strict=True)
    ]


def _publication(folder: Path) -> str:
    """Return the random name of this run's publication, which stays the same when the run is resumed."""
    path = folder / PUBLICATION
    if not path.exists():
        partial = path.with_suffix(".part")
        partial.write_text(os.urandom(16).hex())
        partial.rename(path)
    return path.read_text()


def _write_record(
    recipe: Recipe,
    options: Options,
    folder: Path,
    fitted: Fitted,
    measured: Measured,
    exports: list[Exported],
    variants: list[Variant],
    candidate: Candidate,
) -> None:
    """Write `run.json`, with everything that is needed to judge the run or to repeat it."""
    record: dict[str, Any] = {
        "recipe": recipe.name,
        "title": recipe.title,
        "command": ["onnxlet", *sys.argv[1:]],
        "options": options.to_document(),
        "data_sha256": candidate.data_sha256,
        "frameworks": candidate.frameworks,
        "git_revision": candidate.git_revision,
        "train": {"duration_s": fitted.duration_s, "best_epoch": fitted.best_epoch, "history": fitted.history},
        "evaluation": measured.document,
        "export": [
            {"file": exported.path.name, "max_difference": exported.max_difference, "operators": exported.operators}
            for exported in exports
        ],
        "variants": [variant.to_document() for variant in variants],
    }
    (folder / "run.json").write_text(json.dumps(record, indent=2) + "\n")
