"""Run: a model's way from data to a published version, in the order in which it happens."""

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
from onnxlet_training import data, plots
from onnxlet_training.compare import Variant
from onnxlet_training.compress import Budget, compress, with_variants
from onnxlet_training.export import Exported, export
from onnxlet_training.recipe import Dataset, Fitted, Measured, Options, Recipe
from onnxlet_training.report import write_report
from onnxlet_training.tasks.classification import ClassificationTask

PUBLICATION = "publication"
"""The file in a run's folder that keeps the random name of its publication: a run that was killed after it published
finds its own version again, and makes no second one."""


@dataclass(frozen=True)
class Run:
    """What a run left behind."""

    folder: Path
    manifests: list[Manifest]
    """The main model's first."""
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
    budget: Budget | None = None,
    sign: Sign | None = None,
) -> Run | None:
    """Take a recipe from its data to versions that the functions answer for.

    A run that was killed continues where it was when it is started again with the same folder. One that fails before
    anything is in its folder leaves none.

    Args:
        recipe: What is trained.
        options: What the user set.
        registry: Where it is published.
        folder: Where everything that the run makes is kept.
        console: Where it reports.
        alias: What shall name the new versions.
        margin: How much worse than the live version a new one may be; None asks nothing.
        budget: What a compressed variant of a classifier may lose; None makes none.
        sign: Signs the new versions.

    Returns:
        What was made; None in a process that is not the first of a job, which alone evaluates and publishes.

    Raises:
        InvalidRequestError: data that cannot be used.
        SettingsError: a GPU was demanded and there is none, or a framework is missing.
        ArtifactError: an exported graph is not the network, or worse than what is live; nothing was published.
        InterruptedRunError: the process was asked to end.
        StoreError: the registry does not answer.
    """
    with _run_folder(folder):
        return _run(recipe, options, registry, folder, console, alias, margin, budget, sign)


def _run(
    recipe: Recipe,
    options: Options,
    registry: Registry,
    folder: Path,
    console: Console,
    alias: str | None,
    margin: Margin | None,
    budget: Budget | None,
    sign: Sign | None,
) -> Run | None:
    """Take the stages in their order; the arguments and errors are those of `run`."""

    def report(stage: str, text: str) -> None:
        console.print(f"{stage:8} {text}", highlight=False)

    dataset = data.load(recipe, options, folder / "data")
    sizes = (len(split) for split in (dataset.train, dataset.validation, dataset.test))
    report("data", f"{recipe.title}: {'{} training, {} validation, {} test examples'.format(*sizes)}")

    fitted = recipe.network.fit(recipe, dataset, options, folder, console)
    if fitted.rank != 0:
        return None
    report("train", f"{fitted.duration_s:.1f} s, kept epoch {fitted.best_epoch}")

    measured = recipe.task.measure(fitted, dataset)
    report("evaluate", measured.headline)

    exported = export(fitted, dataset, folder)
    for each in exported:
        size = each.path.stat().st_size
        report("export", f"{each.path.name}, {size} bytes, within {each.max_difference:.1g} of the network")

    variants = _compress(recipe, options, fitted, dataset, exported[0], budget)
    for variant in variants[1:]:
        figures = f"{variant.size_bytes} bytes, accuracy {variant.accuracy:.4f}"
        report("compress", f"{variant.name}, {figures}: {variant.reason}")

    candidates = _candidates(recipe, options, folder, dataset, measured, exported)
    candidates[0] = with_variants(candidates[0], variants)
    passed = [pass_gate(candidate) for candidate in candidates]
    check_activations(passed)
    for each, gated in zip(exported, passed, strict=True):
        report("verify", recipe.task.verify(gated.model, fitted, dataset, each.suffix))
    if margin is not None:
        check_not_worse(registry, candidates[0], margin)

    _write_record(recipe, options, folder, fitted, measured, exported, variants, candidates[0])
    recipe.task.plot(measured, fitted, dataset, folder)
    plots.write_curves(fitted.history, fitted.best_epoch, folder / "curves.png")
    report("report", str(write_report(folder)))

    manifests = store_all(registry, passed, alias, sign)
    for manifest in manifests:
        state = f"is {alias}" if alias else f"staged: onnxlet promote {manifest.model} {manifest.version} makes it live"
        report("publish", f"{manifest.model} version {manifest.version} in {registry.store.url}, {state}")
    return Run(folder, manifests, measured, dataset)


@contextmanager
def _run_folder(folder: Path) -> Iterator[None]:
    """Make a run's folder; where the run fails, remove again what was made and is empty."""
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        inside = [path for path in folder.rglob("*") if path.is_dir()]
        for path in (*reversed(inside), *made):  # the deepest first
            with suppress(OSError):  # it is not empty
                path.rmdir()
        raise


def _compress(
    recipe: Recipe, options: Options, fitted: Fitted, dataset: Dataset, main: Exported, budget: Budget | None
) -> list[Variant]:
    """The variants of a classifier, the original first; none where none were asked for."""
    if budget is None or not isinstance(recipe.task, ClassificationTask):
        return []
    return compress(recipe, fitted, dataset, main.path, options, budget)


def default_folder(recipe: Recipe) -> Path:
    """Return a new folder for a run, named by the recipe and the time, which no other run of the same second shares."""
    return Path("runs") / f"{recipe.name}-{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def _candidates(
    recipe: Recipe,
    options: Options,
    folder: Path,
    dataset: Dataset,
    measured: Measured,
    exported: list[Exported],
) -> list[Candidate]:
    frameworks = provenance.frameworks(recipe.network.framework)
    return [
        Candidate(
            name=f"{recipe.name}{each.suffix}",
            model=read_onnx(each.path),
            source=f"recipe:{recipe.name}",
            metrics={**measured.metrics, **each.metrics()},
            data_sha256=dataset.sha256,
            seed=options.seed,
            frameworks=frameworks,
            git_revision=provenance.git_revision(),
            golden=each.golden,
            reference=measured.reference,
            publication=f"{_publication(folder)}{each.suffix}",
            **recipe.task.declare(recipe, dataset, each.suffix),
        )
        for each in exported
    ]


def _publication(folder: Path) -> str:
    """The random name of this run's publication, the same each time that the run goes on."""
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
    exported: list[Exported],
    variants: list[Variant],
    candidate: Candidate,
) -> None:
    """Write `run.json`: everything needed to judge the run, or to repeat it."""
    record: dict[str, Any] = {
        "recipe": recipe.name,
        "title": recipe.title,
        "command": ["onnxlet", *sys.argv[1:]],
        "options": options.to_document(),
        "data_sha256": candidate.data_sha256,
        "frameworks": candidate.frameworks,
        "git_revision": candidate.git_revision,
        "train": {
            "duration_s": fitted.duration_s,
            "best_epoch": fitted.best_epoch,
            "history": fitted.history,
        },
        "evaluation": measured.document,
        "export": [
            {"file": each.path.name, "max_difference": each.max_difference, "operators": each.operators}
            for each in exported
        ],
        "variants": [variant.to_document() for variant in variants],
    }
    (folder / "run.json").write_text(json.dumps(record, indent=2) + "\n")
