"""Importers: each recognises one kind of model that a user brings and finds the settings that follow from it.

An importer is a module with one function, `recognise(source, model)`. It returns its `Findings`, or None for a model
that is not of its kind. `assembly` makes a candidate of the findings; the user's options override each of them.

`find` and `read` are the only functions that decide what a path or a reference is.
"""

from dataclasses import replace
from pathlib import Path
from typing import Protocol

from onnxlet.contract import layout
from onnxlet_publishing.errors import UsageError
from onnxlet_publishing.importers import foreign, hub, hugging_face, plain, scikit_learn, silero, ultralytics
from onnxlet_publishing.importers.assembly import Import, assemble
from onnxlet_publishing.importers.hugging_face.folder import choose_file, describes, folder_of, name_of
from onnxlet_publishing.importers.settings import NO_OVERRIDES, Findings, Overrides
from onnxlet_publishing.importers.source import Source, file_name, possible_name
from onnxlet_publishing.onnx_file import OnnxFile, read_onnx


class Importer(Protocol):
    """A module that recognises one kind of model."""

    def recognise(self, source: Source, model: OnnxFile) -> Findings | None:
        """Return what the importer found out about a model; None if the model is not of its kind."""


IMPORTERS: dict[str, Importer] = {
    "hugging-face": hugging_face,
    "ultralytics": ultralytics,
    "scikit-learn": scikit_learn,
    "silero": silero,
}
"""The importers by the names that `--importer` takes, without the plain one, which takes the models that are left."""

PLAIN = "plain"


def find(what: str, file: str | None = None) -> list[Source]:
    """Return the model of a repository, of a file or of a folder that describes it, or all models of a plain folder.

    Args:
        what: The path, or `hf:ORG/NAME` with or without `@` and a revision.
        file: The path of the ONNX file in a folder with several; None for all of them.

    Raises:
        UsageError: There is no model at this path; the error says how to make one if there is another format.
    """
    if what.startswith(hub.PREFIX):
        return [_repository(hub.download(what, file))]
    path = Path(what)
    foreign.refuse(path)
    if path.is_file():
        return [_file(path)]
    if not path.is_dir():
        raise UsageError(f"{path}: no such file or folder")
    if file is not None or describes(path):
        paths = [each.relative_to(path).as_posix() for each in path.rglob("*.onnx")]
        chosen = _file(path / choose_file(paths, file, what))
        return [replace(chosen, others=0 if file else len(paths) - 1)]
    files = sorted(path.glob("*.onnx"))
    if not files:
        raise UsageError(f"{path}: expected .onnx files in this folder, got none")
    return [Source(each, file_name(each.stem), each.name) for each in files]


def _repository(download: hub.Download) -> Source:
    """Return the model of a repository; its folder may have no description."""
    folder = download.folder if describes(download.folder) else None
    name = possible_name(download.repository.rpartition("/")[2])
    return Source(download.folder / download.file, name, download.origin, folder, download.others)


def _file(file: Path) -> Source:
    """Return an ONNX file, with the folder that describes it."""
    folder = folder_of(file)
    if folder is None:
        return Source(file, file_name(file.stem), file.name)
    name = name_of(folder)
    return Source(file, possible_name(name), f"{name}/{file.relative_to(folder)}", folder)


def read(
    source: Source, name: str | None = None, overrides: Overrides = NO_OVERRIDES, importer: str | None = None
) -> Import:
    """Read a model with what the importer that recognises it finds, and the user's overrides.

    Args:
        source: The model's files.
        name: The model's name; None for the source's own.
        overrides: The settings that the user gives.
        importer: The name of the importer; None for the one that recognises the model.

    Raises:
        UsageError: Several importers recognise the model, the named one does not, or an override does not fit.
        ModelError: The model cannot be read.
        InvalidNameError: The name is not a possible model name.
        ManifestError: The content of a declaration breaks the contract.
    """
    name = layout.parse_name(source.name if name is None else name)
    model = read_onnx(source.file)
    return assemble(name, source, model, _recognise(source, model, importer), overrides)


def _recognise(source: Source, model: OnnxFile, importer: str | None) -> Findings:
    """Return what the only importer that recognises a model finds."""
    if importer not in {None, PLAIN, *IMPORTERS}:
        raise UsageError(f"--importer: expected one of {', '.join((*IMPORTERS, PLAIN))}, got {importer!r}")
    if importer == PLAIN:
        return plain.recognise(source, model)
    findings = {
        name: found
        for name, module in IMPORTERS.items()
        if importer in {None, name} and (found := module.recognise(source, model)) is not None
    }
    if importer is not None and not findings:
        raise UsageError(f"--importer {importer}: expected a model that this importer recognises, got {source.file}")
    if len(findings) > 1:
        kinds = " and ".join(f"{found.what} (--importer {name})" for name, found in findings.items())
        raise UsageError(f"{source.file}: expected one kind of model, got {kinds}: choose one with --importer")
    return next(iter(findings.values())) if findings else plain.recognise(source, model)
