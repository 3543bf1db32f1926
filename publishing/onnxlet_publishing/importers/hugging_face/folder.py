"""A folder in Hugging Face's form: which files it has, and what is in them."""

import json
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from onnxlet_publishing.errors import UsageError
from onnxlet_publishing.importers.hugging_face import fields
from onnxlet_publishing.importers.labels import ID2LABEL, labels_of
from onnxlet_publishing.importers.settings import Found, found_labels
from onnxlet_publishing.importers.source import read_bytes
from onnxlet_publishing.onnx_file import OnnxFile

CONFIG = "config.json"
MODULES = "modules.json"
TOKENIZER = "tokenizer.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
SPECIAL_TOKENS = "special_tokens_map.json"
SENTENCE_CONFIG = "config_sentence_transformers.json"
LENGTH_CONFIG = "sentence_bert_config.json"
IMAGE_CONFIG = "preprocessor_config.json"
CARD = "README.md"

DESCRIPTIONS = (
    *(CONFIG, MODULES, TOKENIZER, TOKENIZER_CONFIG, SPECIAL_TOKENS, SENTENCE_CONFIG, LENGTH_CONFIG, IMAGE_CONFIG, CARD),
    "vocab.json",
    *("*/config.json", "*/tokenizer.json", "*/tokenizer_config.json", "*/sentence_bert_config.json"),
)
"""The files that describe a model, as patterns of its repository's paths; weights are never among them."""

MODEL = "model.onnx"
FOLDERS = ("", "onnx/")
"""The folders of a repository that have graphs; the first one that has `model.onnx` comes first."""

DEFAULT_LABELS = ("LABEL_0", "LABEL_1")
"""The names of the classes of a head that was made without names; transformers does not write them down."""

INPUTS = {"input_ids": "text", "pixel_values": "picture", "input_values": "sound", "input_features": "sound"}
"""The kind of what a model takes, by the names that transformers gives to inputs."""


class Folder:
    """A folder in Hugging Face's form."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self, name: str) -> dict[str, Any]:
        """Return the JSON object in a file; an empty one if there is no such file.

        Raises:
            UsageError: The file has no JSON object, or one with a field of another kind.
        """
        document = self._parse(name)
        if not isinstance(document, dict):
            raise UsageError(f"{self.path / name}: expected a JSON object, got {document!r:.80}")
        fields.check(document, self.path / name)
        return document

    def has(self, name: str) -> bool:
        """Return whether the folder has a file."""
        try:
            return (self.path / name).is_file()
        except OSError:  # an impossible name
            return False

    @cached_property
    def config(self) -> dict[str, Any]:
        """The configuration of the model."""
        return self.read(self.in_transformer(CONFIG))

    @cached_property
    def modules(self) -> dict[str, str]:
        """The modules of sentence-transformers in their order: the folder of each, by the class's name."""
        document = self._parse(MODULES)
        modules = document if isinstance(document, list) else []
        if not all(isinstance(each, dict) for each in modules):
            raise UsageError(f"{self.path / MODULES}: expected a list of objects, got {document!r:.80}")
        return {str(each.get("type", "")).rpartition(".")[2]: str(each.get("path", "")) for each in modules}

    def in_transformer(self, name: str) -> str:
        """Return the path of one of the transformer's own files, which may lie in a folder of its own."""
        folder = self.modules.get("Transformer", "")
        return f"{folder}/{name}" if folder and self.has(f"{folder}/{name}") else name

    @property
    def architecture(self) -> str:
        """The name of the model's class in transformers; empty if the folder does not say it."""
        architectures: list[str] = self.config.get("architectures") or [""]
        return architectures[0]

    def card(self, key: str) -> str | None:
        """Return a value of the model card's head, which is YAML; None if the card does not have it."""
        if not self.has(CARD):
            return None
        text = (self.path / CARD).read_text("utf-8", "replace")
        head = text[3:].partition("\n---")[0] if text.startswith("---") else ""
        for line in head.splitlines():
            if line.startswith(f"{key}:"):
                return line.partition(":")[2].strip().strip("'\"") or None
        return None

    def describe(self) -> str:
        """Return the kind of the folder in a few words."""
        if self.modules:
            return f"a model of sentence-transformers ({', '.join(self.modules)})"
        return f"a model of transformers ({self.architecture or self.config.get('model_type')})"

    def _parse(self, name: str) -> Any:
        if not self.has(name):
            return {}
        try:
            return json.loads(read_bytes(self.path / name))
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{self.path / name}: expected JSON, got {error}") from error


def describes(path: Path) -> bool:
    """Return whether a folder has a description in Hugging Face's form."""
    if (path / MODULES).is_file():
        return True
    if not (path / CONFIG).is_file():
        return False
    try:
        config = json.loads(read_bytes(path / CONFIG))
    except (ValueError, RecursionError):
        return False
    return isinstance(config, dict) and bool({"model_type", "architectures"} & config.keys())


def folder_of(file: Path) -> Path | None:
    """Return the folder that describes an ONNX file in it or in its folder `onnx`; None without a description."""
    folders = [file.parent, file.parent.parent] if file.parent.name == "onnx" else [file.parent]
    return next(filter(describes, folders), None)


def name_of(folder: Path) -> str:
    """Return the name of the model in a folder; for a folder of Hugging Face's cache, the repository's."""
    path = folder.resolve()
    if path.parent.name == "snapshots":
        return path.parent.parent.name.rpartition("--")[2]
    return path.name


def choose_file(paths: Iterable[str], requested: str | None, where: str) -> str:
    """Return the path of the ONNX file to publish among the paths of a folder or a repository.

    Args:
        paths: The paths of all files.
        requested: The path that the user names.
        where: The folder or the repository, for errors.

    Raises:
        UsageError: There is no ONNX file, not the requested one, or several and none is `model.onnx`.
    """
    paths = list(paths)
    graphs = sorted(path for path in paths if path.endswith(".onnx") and _depth(path) < len(FOLDERS))
    if requested is not None:
        if requested not in graphs:
            raise UsageError(f"--file {requested}: expected one of {', '.join(graphs) or 'no files'}, got no such file")
        return requested
    if not graphs:
        lines = export_lines(where.removeprefix("hf:"), "exported", is_sentence=MODULES in paths)
        raise UsageError(f"{where}: expected an .onnx file, got none; export it first: {lines}")
    usual = [folder + MODEL for folder in FOLDERS if folder + MODEL in graphs]
    if not usual and len(graphs) > 1:
        raise UsageError(
            f"{where}: expected {MODEL} or one .onnx file, got {', '.join(graphs)}: choose one with --file"
        )
    return (usual or graphs)[0]


def export_lines(model: str, folder: str, *, is_sentence: bool, task: str | None = None) -> str:
    """Return the two lines that export a model to a folder.

    Args:
        model: The repository or the folder of the model.
        folder: The new folder.
        is_sentence: Whether the model is one of sentence-transformers.
        task: Optimum's name of the task, which it cannot tell from a folder; None for a repository.
    """
    if not is_sentence:
        option = "" if task is None else f"--task {task} "
        return f"pip install 'optimum-onnx[onnxruntime]'; optimum-cli export onnx --model {model} {option}{folder}"
    export = f'SentenceTransformer("{model}", backend="onnx", model_kwargs={{"export": True}})'
    return f'from sentence_transformers import SentenceTransformer; {export}.save_pretrained("{folder}")'


def find_labels(folder: Folder) -> dict[str, Found]:
    """Return the names of the classes as a setting.

    Raises:
        UsageError: The names are not those of all classes.
    """
    if not isinstance(folder.config.get(ID2LABEL), dict):
        return {"labels": found_labels(DEFAULT_LABELS, f"transformers' names, as {CONFIG} has none")}
    try:
        return {"labels": found_labels(tuple(labels_of(folder.config)), f"{CONFIG}, {ID2LABEL}")}
    except ValueError as error:
        raise UsageError(f"{folder.path / CONFIG}: {ID2LABEL}: {error}") from error


def _depth(path: str) -> int:
    parts = PurePosixPath(path).parts
    return len(parts) - 1 if len(parts) == 1 or parts[0] == "onnx" else len(FOLDERS)


def kind_of_inputs(model: OnnxFile) -> str | None:
    """Return what a model of transformers takes: `text`, `picture` or `sound`; None if it is not one of these."""
    names = {spec.name for spec in model.inputs}
    kinds = {kind for name, kind in INPUTS.items() if name in names}
    generates = any("past_key_values" in name or name.startswith("decoder_") for name in names)
    return kinds.pop() if len(kinds) == 1 and not generates else None
