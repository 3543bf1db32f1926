"""Tasks of texts: the declaration that follows from a model's tensors, its tokenizer and the settings."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from onnxlet.contract.document import Document
from onnxlet.contract.tasks import parse_task
from onnxlet.contract.tasks.texts import FED, IDS, POOLINGS
from onnxlet.contract.tensors import TensorSpec
from onnxlet_publishing.candidate import Candidate
from onnxlet_publishing.errors import ModelError, UsageError
from onnxlet_publishing.importers.classification import with_classification
from onnxlet_publishing.importers.labels import read_labels
from onnxlet_publishing.importers.settings import Settings
from onnxlet_publishing.importers.source import read_bytes
from onnxlet_publishing.importers.tokenizer_file import TokenizerFile
from onnxlet_publishing.onnx_file import OnnxFile
from onnxlet_publishing.output_heads import FLOATS

OUTPUTS = ("logits", "sentence_embedding", "last_hidden_state", "token_embeddings")
"""The outputs of Hugging Face's models that a task reads, the best first."""

PADDINGS, MASKS, FIRSTS = ("[PAD]", "<pad>", "<|endoftext|>"), ("[MASK]", "<mask>"), ("[CLS]", "<s>")
"""The usual tokens for padding, for a masked word and for the beginning of a text."""

UNKNOWNS = ("[UNK]", "<unk>")
"""The usual tokens for words that the vocabulary lacks."""

SIDES = ("padding_side", "truncation_side", "pad_type_id", "cleans_up", "truncates")
"""Fields of the tokenization that an importer may find."""

TOKENS_RANK = 3
"""The dimensions of an output with a vector for each token."""

ENTAILS = "entail"
"""The beginning of the label of a text that entails another."""


def build(candidate: Candidate, task: str, settings: Settings) -> Candidate:
    """Return a candidate that declares a task of texts.

    Raises:
        UsageError: The tokenizer, the length or the labels are missing or cannot be read.
        ModelError: The model does not have the inputs or the outputs of the task.
        ManifestError: A field breaks the contract.
    """
    path = settings.require("tokenizer", f"the task {task} needs the model's tokenizer.json")
    tokenizer = TokenizerFile(read_bytes(path), str(path))
    if task == "text-classification":
        candidate = with_classification(candidate, settings)
        _labels(settings)
    own_fields: Callable[[OnnxFile, TokenizerFile, Settings], dict[str, Any]] = _FIELDS[task]
    document = {
        "name": task,
        "tokenization": _tokenization(candidate, tokenizer, settings),
        **own_fields(candidate.model, tokenizer, settings),
    }
    declared = parse_task(Document(document, f"the task of {candidate.source}"))
    return replace(candidate, task=declared, tokenizer=tokenizer.data)


def _tokenization(candidate: Candidate, tokenizer: TokenizerFile, settings: Settings) -> dict[str, Any]:
    inputs = {spec.name: spec for spec in candidate.model.inputs}
    if IDS not in inputs or not set(inputs) <= set(FED):
        raise ModelError(
            f"{candidate.source}: expected the input {IDS} and others of {', '.join(FED)} for a task of texts, "
            f"got {', '.join(inputs)}"
        )
    fixed = _fixed_length(inputs[IDS])
    max_length = settings.choose("max_length") or tokenizer.max_length() or fixed
    if max_length is None:
        raise UsageError("--max-length: expected the most tokens that the model takes, which no file says, got nothing")
    padding = tokenizer.token_of((settings.choose("pad_token"), *PADDINGS))
    fields = {field: value for field in SIDES if (value := settings.choose(field)) is not None}
    return {
        "inputs": {name: name for name in FED if name in inputs},
        "max_length": max_length if fixed is None else min(max_length, fixed),
        "padded_length": fixed,
        "pad_id": 0 if padding is None else tokenizer.id_of(padding),
        **fields,
    }


def _fixed_length(ids: TensorSpec) -> int | None:
    length = None if ids.shape is None or len(ids.shape) < 2 else ids.shape[1]
    return length if type(length) is int and length > 0 else None


def _output(model: OnnxFile, rank: int | None = None) -> TensorSpec:
    """Return the output that a task reads: the one of a usual name, else the first with real numbers.

    Args:
        model: The model.
        rank: The preferred number of dimensions; None for any.
    """
    floats = [spec for spec in model.outputs if spec.datatype.name in FLOATS]
    if not floats:
        raise ModelError(f"expected an output with one of the datatypes {', '.join(FLOATS)}, got none")
    fitting = [spec for spec in floats if rank in {None, len(spec.shape or ())}] or floats
    return next((spec for name in OUTPUTS for spec in fitting if spec.name == name), fitting[0])


def _labels(settings: Settings) -> list[str]:
    labels = settings.require("labels", "the task needs the names of its classes")
    return list(read_labels(labels) if isinstance(labels, Path) else labels)


def _classification(_model: OnnxFile, _tokenizer: TokenizerFile, _settings: Settings) -> dict[str, Any]:
    return {}


def _tokens(model: OnnxFile, tokenizer: TokenizerFile, settings: Settings) -> dict[str, Any]:
    unknown = tokenizer.token_of((settings.choose("unk_token"), *UNKNOWNS))
    return {"output": _output(model).name, "labels": _labels(settings), "unk_token": unknown}


def _vectors(model: OnnxFile, _tokenizer: TokenizerFile, settings: Settings) -> dict[str, Any]:
    dimensions, pooling = settings.choose("dimensions"), settings.choose("pooling")
    output = _output(model, None if pooling in {None, "none"} else TOKENS_RANK)
    if pooling is None:
        pooling = "none" if output.shape is not None and len(output.shape) < TOKENS_RANK else "mean"
    if pooling not in POOLINGS:
        raise UsageError(f"--pooling: expected one of {', '.join(POOLINGS)}, got {pooling}")
    return {
        "output": output.name,
        "pooling": pooling,
        "normalize": settings.choose("normalize", default=False),
        "prompts": settings.choose("prompts", {}),
        "default_prompt": settings.choose("default_prompt"),
        "pools_prompt": settings.choose("pools_prompt", default=True),
        **({} if dimensions is None else {"dimensions": list(dimensions)}),
    }


def _ranking(model: OnnxFile, _tokenizer: TokenizerFile, settings: Settings) -> dict[str, Any]:
    return {"output": _output(model).name, "activation": settings.choose("activation", "none")}


def _masked(model: OnnxFile, tokenizer: TokenizerFile, settings: Settings) -> dict[str, Any]:
    mask = tokenizer.token_of((settings.choose("mask_token"), *MASKS))
    if mask is None:
        raise UsageError(f"the tokenizer: expected a token for a masked word, {' or '.join(MASKS)}, got none")
    return {"output": _output(model).name, "mask_token": mask}


def _answers(model: OnnxFile, tokenizer: TokenizerFile, settings: Settings) -> dict[str, Any]:
    floats = [spec.name for spec in model.outputs if spec.datatype.name in FLOATS]
    if len(floats) < 2:
        raise ModelError(f"expected two outputs, for the start and the end of an answer, got {', '.join(floats)}")
    start, end = (
        next((name for name in floats if word in name), floats[place]) for place, word in enumerate(("start", "end"))
    )
    return {"start": start, "end": end, "cls_token": tokenizer.token_of((settings.choose("cls_token"), *FIRSTS))}


def _zero_shot(model: OnnxFile, _tokenizer: TokenizerFile, settings: Settings) -> dict[str, Any]:
    labels = _labels(settings)
    entailing = [number for number, label in enumerate(labels) if label.lower().startswith(ENTAILS)]
    if not entailing:
        raise UsageError(f"--labels: expected a label that begins with {ENTAILS!r}, got {', '.join(labels):.200}")
    return {"output": _output(model).name, "entailment": entailing[0]}


_FIELDS = {
    "text-classification": _classification,
    "token-classification": _tokens,
    "feature-extraction": _vectors,
    "sentence-similarity": _vectors,
    "text-ranking": _ranking,
    "fill-mask": _masked,
    "question-answering": _answers,
    "zero-shot-classification": _zero_shot,
}
"""The function that makes each task's own fields."""
