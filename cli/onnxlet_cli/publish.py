"""Publish files: each becomes a candidate, passes the gate and is stored; a folder's files all do, or none does."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.progress import track

from onnxlet.contract.manifest import Manifest
from onnxlet.errors import OnnxletError, StoreError
from onnxlet.registry.registry import Registry, Sign
from onnxlet_cli import output
from onnxlet_publishing.errors import CommandError, ModelError, UsageError
from onnxlet_publishing.gate import GateResult, pass_gate
from onnxlet_publishing.importers.plain import Declarations, find_files, name_of, read_candidate
from onnxlet_publishing.publish import store_all

MANY_FILES = 10
"""From so many on, each file is reported where the error stream is not a terminal."""
NAMED = 50
"""The refused files that one error names; it counts the others."""


@dataclass(frozen=True)
class Published:
    """A version, and what a person should know of it."""

    manifest: Manifest
    notes: list[str]
    """What was decided, and what was changed in the graph."""
    warnings: list[str]


@dataclass(frozen=True)
class Outcome:
    """What became of the files."""

    published: list[Published]
    refused: Mapping[str, str]
    """Why a file was refused, by its name."""

    def raise_refused(self) -> None:
        """Name the files that were refused.

        Raises:
            ModelError: there are some.
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
    """Publish a model, or a folder of them.

    Args:
        registry: Where they are stored.
        path: A file, or a folder.
        name: The name of one model.
        declarations: What is said of one model.
        alias: What shall name the new versions.
        sign: Signs them.
        keep_going: Publish the files of a folder that pass, even if others do not.

    Raises:
        UsageError: no such file, or an option that does not fit.
        ModelError: a file was refused and nothing was uploaded, unless `keep_going`.
        StoreError: the store does not answer.
    """
    files = find_files(path, name, declarations)
    if path.is_file():
        passed = pass_gate(read_candidate(path, name, declarations))
        return Outcome(_store(registry, [passed], alias, sign), {})
    names = Counter(map(name_of, files))
    waiting: list[GateResult] = []
    published: list[Published] = []
    refused: dict[str, str] = {}
    for file in _reported(files):
        try:
            passed = _pass(file, names)
        except StoreError:
            raise
        except (CommandError, OnnxletError) as error:
            refused[file.name] = " ".join(str(error).split())
        else:
            waiting.append(passed)
        if keep_going:
            published += _store(registry, waiting, alias, sign)
            waiting.clear()
    if refused and not keep_going:
        raise ModelError(f"nothing was published (--keep-going publishes the rest): {_refusal(refused, len(files))}")
    return Outcome(published + _store(registry, waiting, alias, sign), refused)


def _refusal(refused: Mapping[str, str], count: int) -> str:
    reasons = [reason if name in reason else f"{name}: {reason}" for name, reason in refused.items()]
    more = f"; and {len(reasons) - NAMED} more" if len(reasons) > NAMED else ""
    return f"{len(reasons)} of {count} files cannot be served: {'; '.join(reasons[:NAMED])}{more}"


def _pass(file: Path, names: Counter[str]) -> GateResult:
    if names[name_of(file)] > 1:
        raise UsageError(f"another file gives the same name {name_of(file)!r}")
    return pass_gate(read_candidate(file))


def _store(registry: Registry, passed: list[GateResult], alias: str | None, sign: Sign | None) -> list[Published]:
    manifests = store_all(registry, passed, alias, sign)
    return [
        Published(manifest, list(_notes(each)), list(_warnings(each)))
        for manifest, each in zip(manifests, passed, strict=True)
    ]


def _reported(files: list[Path]) -> Iterator[Path]:
    """Yield the files, and say on the error stream which one it is about."""
    console = output.progress()
    if console.is_terminal:
        yield from track(files, "Checking", console=console, transient=True)
        return
    for place, file in enumerate(files, 1):
        if len(files) >= MANY_FILES:
            console.print(f"{place}/{len(files)} {file.name}", highlight=False, markup=False)
        yield file


def _notes(passed: GateResult) -> Iterator[str]:
    """Yield a line for each thing that was decided about a model, or changed in it."""
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
        twice = [label for label, count in Counter(classification.labels).items() if count > 1]
        if twice:
            yield f"{name}: {len(twice)} labels name several classes, {twice[0]!r:.80} among them"
