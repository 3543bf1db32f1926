"""`onnxlet publish`: checks ONNX files in the functions' own runtime and stores them as versions."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.progress import track

from onnxlet.contract import layout
from onnxlet.contract.manifest import Manifest
from onnxlet.errors import OnnxletError, StoreError
from onnxlet.registry.registry import Registry, Sign
from onnxlet_cli import output
from onnxlet_cli.options import JsonOption, RegistryOption, SignOption, StageOption
from onnxlet_cli.registry import open_registry
from onnxlet_publishing.errors import CommandError, ModelError, UsageError
from onnxlet_publishing.gate import GateResult, pass_gate
from onnxlet_publishing.importers import IMPORTERS, PLAIN, find, read
from onnxlet_publishing.importers.assembly import Import
from onnxlet_publishing.importers.settings import Overrides
from onnxlet_publishing.importers.source import Source
from onnxlet_publishing.publish import store_all
from onnxlet_publishing.sign import load_sign

MANY_FILES = 10
"""The number of files from which on their names are printed if the error stream is not a terminal."""
NAMED_REFUSALS = 50
"""The most refused files that one error names; it counts the others."""


MODEL, TEXT, TABLE = "Model", "Texts and vectors", "Pictures, sounds and tables"
"""The groups of options in the help."""


def publish(
    what: Annotated[
        str,
        typer.Argument(
            metavar="FILE.onnx|FOLDER|hf:ORG/NAME",
            help="A model, a folder that describes one as Hugging Face does, a folder of models, or a repository.",
        ),
    ],
    name: Annotated[
        str | None, typer.Option(help="Name of the model (default: the name of what you bring).", rich_help_panel=MODEL)
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(metavar="TASK", help="Hugging Face's name of the task (default: found).", rich_help_panel=MODEL),
    ] = None,
    file: Annotated[
        str | None,
        typer.Option(
            metavar="PATH", help="The ONNX file of a folder or a repository with several.", rich_help_panel=MODEL
        ),
    ] = None,
    importer: Annotated[
        str | None,
        typer.Option(help=f"What kind of model it is: {', '.join((*IMPORTERS, PLAIN))}.", rich_help_panel=MODEL),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Class labels: one per line, a JSON list or an id2label.", rich_help_panel=MODEL
        ),
    ] = None,
    activation: Annotated[
        Literal["auto", "none", "softmax", "sigmoid"] | None,
        typer.Option(
            help="Function that makes the output probabilities; auto runs the model to find out.", rich_help_panel=MODEL
        ),
    ] = None,
    generation: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="What the model generates: JSON, as in a manifest.", rich_help_panel=MODEL),
    ] = None,
    tokenizer: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The tokenizer.json of a model of texts.", rich_help_panel=TEXT)
    ] = None,
    max_length: Annotated[
        int | None, typer.Option(min=1, help="The most tokens that the model takes.", rich_help_panel=TEXT)
    ] = None,
    pooling: Annotated[
        Literal["none", "mean", "cls", "last", "max"] | None,
        typer.Option(help="How the vectors of tokens become one vector.", rich_help_panel=TEXT),
    ] = None,
    normalize: Annotated[
        bool | None,
        typer.Option("--normalize/--no-normalize", help="Whether vectors get the length 1.", rich_help_panel=TEXT),
    ] = None,
    preprocess: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="How pictures become the input: JSON with height, width, channels, fit and others (docs/pictures.md).",
            rich_help_panel=TABLE,
        ),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="The lowest score of what a detector answers.", rich_help_panel=TABLE),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(metavar="NAMES|FILE", help="A table's columns, with commas between them.", rich_help_panel=TABLE),
    ] = None,
    sampling_rate: Annotated[
        int | None,
        typer.Option(min=1, help="The samples a second that a model of sounds takes.", rich_help_panel=TABLE),
    ] = None,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="Publish the files of a folder that pass, even if others do not.")
    ] = False,
    stage: StageOption = False,
    sign: SignOption = None,
    registry: RegistryOption = None,
    json: JsonOption = False,
) -> None:
    """Check ONNX models in the functions' own runtime, then publish them.

    onnxlet recognises what you bring and prints each setting that it derives, with the option that overrides it.

    Examples:
    \b
    onnxlet publish model.onnx --name shapes
    onnxlet publish model.onnx --labels labels.txt --preprocess image.json
    onnxlet publish yolo11n.onnx  of Ultralytics
    onnxlet publish FOLDER        of Optimum or sentence-transformers
    onnxlet publish hf:ORG/NAME   a repository on Hugging Face
    """  # noqa: D301 - click keeps the lines of a paragraph that begins with the character \b
    overrides = Overrides(
        task,
        labels,
        activation,
        preprocess,
        generation,
        tokenizer,
        pooling,
        normalize,
        max_length,
        threshold,
        columns,
        sampling_rate,
    )
    target, alias = open_registry(registry, create=True), None if stage else layout.LIVE
    signer = load_sign(sign) if sign else None
    brought = Brought(find(what, file), name, overrides, importer)
    outcome = publish_sources(target, brought, alias, signer, keep_going=keep_going)
    for version in outcome.published:
        for warning in version.warnings:
            output.print_warning(warning)
    document, lines = [], []
    for version in outcome.published:
        document.append({**output.version_document(version.manifest, is_live=not stage), "notes": version.notes})
        lines += [*version.notes, output.version_line(version.manifest, is_live=not stage)]
    output.show(document, *lines, json=json)
    outcome.raise_refused()


@dataclass(frozen=True)
class Brought:
    """The models that the user brings, and what the user says about them."""

    sources: list[Source]
    name: str | None
    overrides: Overrides
    importer: str | None


@dataclass(frozen=True)
class Passed:
    """A model that has passed the gate, and what its importer recognised and derived."""

    result: GateResult
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Published:
    """A stored version, with notes and warnings for people."""

    manifest: Manifest
    notes: list[str]
    """The decisions of publishing about the model, and its changes to the graph."""
    warnings: list[str]


@dataclass(frozen=True)
class Outcome:
    """The published and the refused files of one run."""

    published: list[Published]
    refused: Mapping[str, str]
    """The reason for each refused file, by file name."""

    def raise_refused(self) -> None:
        """Raise an error that names the refused files, if there are any.

        Raises:
            ModelError: Files were refused.
        """
        if self.refused:
            raise ModelError(_refusal(self.refused, len(self.refused) + len(self.published)))


def publish_sources(
    registry: Registry, brought: Brought, alias: str | None, sign: Sign | None, *, keep_going: bool
) -> Outcome:
    """Publish a model, or every model of a folder, or none of them if one is refused.

    Args:
        registry: The registry that stores them.
        brought: The models.
        alias: The alias for the new versions.
        sign: Signs the manifests.
        keep_going: Publish the files of a folder that pass, even if others do not.

    Raises:
        UsageError: An option does not fit.
        ModelError: A file was refused, so nothing was uploaded (unless `keep_going`).
        StoreError: The store does not answer.
    """
    sources = brought.sources
    if len(sources) == 1:
        passed = _pass(read(sources[0], brought.name, brought.overrides, brought.importer))
        return Outcome(_store(registry, [passed], alias, sign), {})
    if brought.name or brought.overrides.given():
        raise UsageError(
            f"{sources[0].file.parent}: expected one .onnx file for a name or declarations, got {len(sources)}"
        )
    names = Counter(source.name for source in sources)
    waiting: list[Passed] = []
    published: list[Published] = []
    refused: dict[str, str] = {}
    for source in _with_progress(sources):
        try:
            waiting.append(_pass_one_of_many(source, names, brought.importer))
        except StoreError:
            raise
        except (OnnxletError, CommandError) as error:
            refused[source.file.name] = " ".join(str(error).split())
        if keep_going:
            published += _store(registry, waiting, alias, sign)
            waiting.clear()
    if refused and not keep_going:
        raise ModelError(f"nothing was published (--keep-going publishes the rest): {_refusal(refused, len(sources))}")
    return Outcome(published + _store(registry, waiting, alias, sign), refused)


def _refusal(refused: Mapping[str, str], count: int) -> str:
    reasons = [reason if name in reason else f"{name}: {reason}" for name, reason in refused.items()]
    more = f"; and {len(reasons) - NAMED_REFUSALS} more" if len(reasons) > NAMED_REFUSALS else ""
    return f"{len(reasons)} of {count} files cannot be served: {'; '.join(reasons[:NAMED_REFUSALS])}{more}"


def _pass(imported: Import) -> Passed:
    return Passed(pass_gate(imported.candidate), imported.lines)


def _pass_one_of_many(source: Source, names: Counter[str], importer: str | None) -> Passed:
    if names[source.name] > 1:
        raise ModelError(f"another file gives the same name {source.name!r}")
    return _pass(read(source, importer=importer))


def _store(registry: Registry, passed: list[Passed], alias: str | None, sign: Sign | None) -> list[Published]:
    manifests = store_all(registry, [each.result for each in passed], alias, sign)
    return [
        Published(manifest, list(_notes(model)), list(_warnings(model.result)))
        for manifest, model in zip(manifests, passed, strict=True)
    ]


def _with_progress(sources: list[Source]) -> Iterator[Source]:
    """Yield the sources, and report the current one on the error stream."""
    console = output.progress()
    if console.is_terminal:
        yield from track(sources, "Checking", console=console, transient=True)
        return
    for number, source in enumerate(sources, 1):
        if len(sources) >= MANY_FILES:
            output.print_note(f"{number}/{len(sources)} {source.file.name}")
        yield source


def _notes(model_and_lines: Passed) -> Iterator[str]:
    """Yield a line for each decision about a model, and for each change of its graph."""
    passed = model_and_lines.result
    name, model, classification = passed.candidate.name, passed.candidate.model, passed.candidate.classification
    yield from (f"{name}: {line}" for line in model_and_lines.lines)
    yield from (f"{name}: {note}" for note in model.notes)
    if classification is not None and passed.finding is not None:
        output_name = classification.output or model.outputs[0].name
        yield f'{name}: labels by the output "{output_name}", {passed.finding.describe(classification)}'


def _warnings(passed: GateResult) -> Iterator[str]:
    name, model, classification = passed.candidate.name, passed.candidate.model, passed.candidate.classification
    yield from (f'{name}: the output "{left_out}" is not a tensor and is not served' for left_out in model.left_out)
    if passed.finding is not None and passed.finding.warning is not None:
        yield f"{name}: {passed.finding.warning}"
    if classification is not None:
        repeated = [label for label, count in Counter(classification.labels).items() if count > 1]
        if repeated:
            yield f"{name}: {len(repeated)} labels name several classes, {repeated[0]!r:.80} among them"
