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
from onnxlet_publishing.errors import CommandError, ModelError
from onnxlet_publishing.gate import GateResult, pass_gate
from onnxlet_publishing.importers.plain import Declarations, find_files, name_of, read_candidate
from onnxlet_publishing.publish import store_all
from onnxlet_publishing.sign import load_sign

MANY_FILES = 10
"""The number of files from which on their names are printed if the error stream is not a terminal."""
NAMED_REFUSALS = 50
"""The most refused files that one error names; it counts the others."""


def publish(
    path: Annotated[Path, typer.Argument(metavar="MODEL.onnx|DIR", help="One model, or a folder of models.")],
    name: Annotated[str | None, typer.Option(help="Name of the model (default: the file's name).")] = None,
    labels: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Class labels: one per line, a JSON list or an id2label.")
    ] = None,
    activation: Annotated[
        Literal["auto", "none", "softmax", "sigmoid"],
        typer.Option(help="Function that makes the output probabilities; auto runs the model to find out."),
    ] = "auto",
    preprocess: Annotated[
        Path | None, typer.Option(metavar="FILE", help="How images become the input: JSON, as in a manifest.")
    ] = None,
    generation: Annotated[
        Path | None, typer.Option(metavar="FILE", help="What the model generates: JSON, as in a manifest.")
    ] = None,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="Publish the files of a folder that pass, even if others do not.")
    ] = False,
    stage: StageOption = False,
    sign: SignOption = None,
    registry: RegistryOption = None,
    json: JsonOption = False,
) -> None:
    """Check ONNX models in the functions' own runtime, then publish them."""
    declarations = Declarations(labels, preprocess, generation, activation)
    target, alias = open_registry(registry, create=True), None if stage else layout.LIVE
    signer = load_sign(sign) if sign else None
    outcome = publish_files(target, path, name, declarations, alias, signer, keep_going=keep_going)
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


def publish_files(
    registry: Registry,
    path: Path,
    name: str | None,
    declarations: Declarations,
    alias: str | None,
    sign: Sign | None,
    *,
    keep_going: bool,
) -> Outcome:
    """Publish a model, or every model of a folder, or none of them if one is refused.

    Args:
        registry: The registry that stores them.
        path: A file or a folder.
        name: The name of a single model.
        declarations: What the user declares about a single model.
        alias: The alias for the new versions.
        sign: Signs the manifests.
        keep_going: Publish the files of a folder that pass, even if others do not.

    Raises:
        UsageError: There is no such file, or an option does not fit.
        ModelError: A file was refused, so nothing was uploaded (unless `keep_going`).
        StoreError: The store does not answer.
    """
    files = find_files(path, name, declarations)
    if path.is_file():
        passed = pass_gate(read_candidate(path, name, declarations))
        return Outcome(_store(registry, [passed], alias, sign), {})
    names = Counter(map(name_of, files))
    waiting: list[GateResult] = []
    published: list[Published] = []
    refused: dict[str, str] = {}
    for file in _with_progress(files):
        try:
            waiting.append(_pass(file, names))
        except StoreError:
            raise
        except (OnnxletError, CommandError) as error:
            refused[file.name] = " ".join(str(error).split())
        if keep_going:
            published += _store(registry, waiting, alias, sign)
            waiting.clear()
    if refused and not keep_going:
        raise ModelError(f"nothing was published (--keep-going publishes the rest): {_refusal(refused, len(files))}")
    return Outcome(published + _store(registry, waiting, alias, sign), refused)


def _refusal(refused: Mapping[str, str], count: int) -> str:
    reasons = [reason if name in reason else f"{name}: {reason}" for name, reason in refused.items()]
    more = f"; and {len(reasons) - NAMED_REFUSALS} more" if len(reasons) > NAMED_REFUSALS else ""
    return f"{len(reasons)} of {count} files cannot be served: {'; '.join(reasons[:NAMED_REFUSALS])}{more}"


def _pass(file: Path, names: Counter[str]) -> GateResult:
    if names[name_of(file)] > 1:
        raise ModelError(f"another file gives the same name {name_of(file)!r}")
    return pass_gate(read_candidate(file))


def _store(registry: Registry, passed: list[GateResult], alias: str | None, sign: Sign | None) -> list[Published]:
    manifests = store_all(registry, passed, alias, sign)
    return [
        Published(manifest, list(_notes(model)), list(_warnings(model)))
        for manifest, model in zip(manifests, passed, strict=True)
    ]


def _with_progress(files: list[Path]) -> Iterator[Path]:
    """Yield the files, and report the current one on the error stream."""
    console = output.progress()
    if console.is_terminal:
        yield from track(files, "Checking", console=console, transient=True)
        return
    for number, file in enumerate(files, 1):
        if len(files) >= MANY_FILES:
            output.print_note(f"{number}/{len(files)} {file.name}")
        yield file


def _notes(passed: GateResult) -> Iterator[str]:
    """Yield a line for each decision about a model, and for each change of its graph."""
    name, model, classification = passed.candidate.name, passed.candidate.model, passed.candidate.classification
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
