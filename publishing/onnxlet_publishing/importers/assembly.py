"""Assembly: a candidate made of a model, of what an importer found and of what the user says instead."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module

from onnxlet.contract.declarations import parse_preprocess
from onnxlet.contract.generation import parse_generation
from onnxlet.contract.tasks import FAMILIES
from onnxlet_publishing.candidate import Candidate
from onnxlet_publishing.errors import UsageError
from onnxlet_publishing.importers.classification import with_classification
from onnxlet_publishing.importers.settings import Findings, Overrides, Settings, parsed
from onnxlet_publishing.importers.source import Source
from onnxlet_publishing.onnx_file import OnnxFile
from onnxlet_publishing.provenance import git_revision

IMAGE_CLASSIFICATION, NEEDED = "image-classification", ("labels", "preprocess")
"""The task that a manifest does not store, and the two declarations by which it has the task."""

Build = Callable[[Candidate, str, Settings], Candidate]


@dataclass(frozen=True)
class Import:
    """A model as it will be published, and what a person must know about how it came to be."""

    candidate: Candidate
    lines: tuple[str, ...]
    """The kind of the model, and a line for each derived setting with its origin and its option."""


def assemble(name: str, source: Source, model: OnnxFile, findings: Findings, overrides: Overrides) -> Import:
    """Make a candidate.

    A task of a family is declared by the function `build` in the module of the family's name next to this one.

    Raises:
        UsageError: A setting is missing, cannot be read, does not fit the model, or is not used.
        ModelError: The model does not fit the settings.
        ManifestError: The content of a declaration breaks the contract.
    """
    settings = Settings(findings, overrides)
    candidate = Candidate(name=name, model=model, source=source.origin, git_revision=git_revision())
    task = settings.choose("task")
    if task not in {None, IMAGE_CLASSIFICATION, *FAMILIES}:
        raise UsageError(f"--task: expected one of {', '.join((IMAGE_CLASSIFICATION, *FAMILIES))}, got {task!r}")
    if task in FAMILIES:
        build: Build = import_module(f"{__package__}.{FAMILIES[task]}").build
        candidate = build(candidate, task, settings)
    else:
        for name in NEEDED if task == IMAGE_CLASSIFICATION else ():
            settings.require(name, f"the task {task} needs a file")
        candidate = _with_declarations(candidate, settings)
    settings.require_all_used(f"the task {task}" if task else "a model without a task")
    return Import(candidate, (_summary(findings, candidate), *_choice(source), *settings.lines))


def _choice(source: Source) -> list[str]:
    """Return a line about the choice of the file, if there were several."""
    count = source.others + 1
    return [f"file: {source.file.name} (the usual one of {count} ONNX files; --file)"] if source.others else []


def _summary(findings: Findings, candidate: Candidate) -> str:
    """Return the kind of a model, and whether it is served as tensors only."""
    declared = (candidate.task, candidate.preprocess, candidate.classification, candidate.generation)
    if declared == (None,) * len(declared):
        return f"{findings.what} without a known task: requests and answers are tensors (--task)"
    return findings.what


def _with_declarations(candidate: Candidate, settings: Settings) -> Candidate:
    """Return a candidate with labels, preprocessing and generation, each of them only if it is declared."""
    return replace(
        with_classification(candidate, settings),
        preprocess=parsed(settings.choose("preprocess"), parse_preprocess),
        generation=parsed(settings.choose("generation"), parse_generation),
    )
