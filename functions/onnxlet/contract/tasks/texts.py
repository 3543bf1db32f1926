"""Tasks of texts: how a text becomes the model's tensors, and what its outputs mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from onnxlet.contract.artifact import Role
from onnxlet.contract.declarations import ACTIVATIONS
from onnxlet.contract.document import Document
from onnxlet.contract.tasks.declaration import Declaration
from onnxlet.record import EMPTY, Record

IDS, MASK, TYPES, POSITIONS = "input_ids", "attention_mask", "token_type_ids", "position_ids"
FED = (IDS, MASK, TYPES, POSITIONS)
"""The numbers that a tokenizer can feed to a model, by the names that Hugging Face's models give their inputs."""

POOLED = "pooled"
"""Output of the graph that makes vectors of length 1: the vectors before they are divided by their length."""
PICKED, COUNT = "positions", "k"
"""Inputs of the graph for masked words: each mask's row and token, INT64 (masks, 2), and how many words, INT64 (1,)."""
SCORES = "scores"
"""Output of the graphs for token-classification, FP32 (batch, tokens, labels), and for text-ranking, FP32 (batch,)."""

SIDES = ("right", "left")
POOLINGS = ("none", "mean", "cls", "last", "max")
"""The ways in which the vectors of a text's tokens become one vector; `none` leaves them as they are."""

MAX_TOKENS = 131_072
"""Length of a text in tokens that a declaration may allow."""

MAX_PROMPTS = 64
"""Prompts that a declaration may name."""


class Tokenization(Record):
    """The settings that a tokenizer file lacks: what of its result a model takes, and how long a text may be."""

    inputs: Mapping[str, str]
    """The model's input for each of the `FED` that it takes; `input_ids` is always among them."""
    max_length: int
    """The most tokens that the model takes, special tokens included."""
    padding_side: str = "right"
    truncation_side: str = "right"
    truncates: bool = False
    """Whether a longer text is cut unasked, as sentence-transformers does; otherwise the request must ask for it."""
    padded_length: int | None = None
    """The length to which every text is padded, for a model with a fixed shape; None pads to the longest of a run."""
    pad_id: int = 0
    pad_type_id: int = 0
    cleans_up: bool = False
    """Whether decoded text loses the spaces before punctuation (transformers' `clean_up_tokenization_spaces`)."""


class TextTask(Declaration):
    """A task whose model takes tokenized texts."""

    tokenization: Tokenization

    @property
    def takes(self) -> str:
        """The kind of payload that a person sends."""
        return "text"

    def roles(self) -> tuple[Role, ...]:
        """Return the roles of the artifacts that the task needs next to the model's graph."""
        return ("tokenizer",)

    def inputs(self) -> tuple[str, ...]:
        """Return the names of the model's inputs that the task feeds."""
        return tuple(self.tokenization.inputs.values())


class OneOutputTask(TextTask):
    """A task of texts that reads one of the model's outputs."""

    output: str
    """The name of the output."""

    def outputs(self) -> tuple[str, ...]:
        """Return the names of the model's outputs that the task reads, in the order of its postprocess graph."""
        return (self.output,)


class TextClassification(TextTask):
    """Labels for a text or a pair of texts; the manifest's classification names the output and the labels."""


class TokenClassification(OneOutputTask):
    """A label for each token, and entities of several tokens; the output has the shape (batch, tokens, labels)."""

    labels: tuple[str, ...]
    """One label for each class, such as `O`, `B-PER` and `I-PER`."""
    unk_token: str | None = None
    """The token of words that the vocabulary lacks, such as `[UNK]`; None if the tokenizer has no such token."""

    def roles(self) -> tuple[Role, ...]:
        """Return the roles of the artifacts that the task needs next to the model's graph."""
        return ("tokenizer", "postprocess")


class FeatureExtraction(OneOutputTask):
    """A vector for each text; for a sentence and others, how similar they are (sentence-similarity).

    The output has the shape (batch, tokens, d), or (batch, d) if the model itself pools them.
    """

    pooling: str = "none"
    """One of `POOLINGS`; it must be `none` for an output with the shape (batch, d)."""
    normalize: bool = False
    """Whether each vector is divided by its length."""
    prompts: Mapping[str, str] = EMPTY
    """Texts to put before a client's, by the name that a request may ask for, such as `query`."""
    default_prompt: str | None = None
    """The name of the prompt for requests without one."""
    pools_prompt: bool = True
    """Whether the pooling includes the tokens of the prompt (sentence-transformers' `include_prompt`)."""
    dimensions: tuple[int, ...] = ()
    """Lengths to which the model was trained to have its vectors cut (Matryoshka); empty if there is only one."""

    def roles(self) -> tuple[Role, ...]:
        """Return the roles of the artifacts that the task needs next to the model's graph."""
        return ("tokenizer", "postprocess") if self.normalize or self.pooling != "none" else ("tokenizer",)


class TextRanking(OneOutputTask):
    """A score for each pair of a query and a text, which a cross-encoder reads together.

    The output has the shape (batch, 1) or (batch,).
    """

    activation: str = "none"
    """The function that makes scores of the output: `none` or `sigmoid`."""

    def roles(self) -> tuple[Role, ...]:
        """Return the roles of the artifacts that the task needs next to the model's graph."""
        return ("tokenizer",) if self.activation == "none" else ("tokenizer", "postprocess")


class FillMask(OneOutputTask):
    """The most probable tokens for a masked word; the output has the shape (batch, tokens, vocabulary)."""

    mask_token: str
    """The token that a client writes for the word to fill in, such as `[MASK]`."""

    def roles(self) -> tuple[Role, ...]:
        """Return the roles of the artifacts that the task needs next to the model's graph."""
        return ("tokenizer", "postprocess")


class QuestionAnswering(TextTask):
    """The part of a text that answers a question."""

    start: str
    """The name of the output with a number for each token, how likely it begins the answer: (batch, tokens)."""
    end: str
    """The name of the output with a number for each token, how likely it ends the answer: (batch, tokens)."""
    cls_token: str | None = None
    """The token that a model chooses if the text has no answer, such as `[CLS]`; None if it has no such token."""

    def outputs(self) -> tuple[str, ...]:
        """Return the names of the model's outputs that the task reads, in the order of its postprocess graph."""
        return (self.start, self.end)


class ZeroShotClassification(OneOutputTask):
    """Labels that a client names for a text, by a model that says whether one sentence entails another.

    The output has the shape (batch, classes).
    """

    entailment: int
    """The class of a text that entails the label's sentence; class 0 contradicts it, or the last class if this is 0."""


TASKS: dict[str, type[TextTask]] = {
    "text-classification": TextClassification,
    "token-classification": TokenClassification,
    "feature-extraction": FeatureExtraction,
    "sentence-similarity": FeatureExtraction,
    "text-ranking": TextRanking,
    "fill-mask": FillMask,
    "question-answering": QuestionAnswering,
    "zero-shot-classification": ZeroShotClassification,
}
"""The declaration of each task, by Hugging Face's name."""


def parse(document: Document) -> TextTask:
    """Read the declaration of a task of texts.

    Raises:
        ManifestError: a field is malformed or unknown.
    """
    name = document.choice("name", tuple(TASKS))
    task = TASKS[name]
    document.require_fields(task._fields, all_of_them=False)
    tokenization = _parse_tokenization(document.document("tokenization"))
    return task(name, tokenization, **_OWN_FIELDS[task](document))


def _parse_tokenization(document: Document) -> Tokenization:
    document.require_fields(Tokenization._fields, all_of_them=False)
    inputs = document.text_map("inputs")
    if IDS not in inputs or not set(inputs) <= set(FED) or len(set(inputs.values())) != len(inputs):
        raise document.error("inputs", f"an input of the model for {IDS} and for others of {', '.join(FED)}")
    max_length = document.integer("max_length", 1, MAX_TOKENS)
    return Tokenization(
        inputs=inputs,
        max_length=max_length,
        padding_side=document.choice("padding_side", SIDES) if document.has("padding_side") else "right",
        truncation_side=document.choice("truncation_side", SIDES) if document.has("truncation_side") else "right",
        truncates=_flag(document, "truncates", default=False),
        padded_length=document.integer("padded_length", max_length, MAX_TOKENS)
        if document.has("padded_length")
        else None,
        pad_id=document.optional_integer("pad_id", 0) or 0,
        pad_type_id=document.optional_integer("pad_type_id", 0) or 0,
        cleans_up=_flag(document, "cleans_up", default=False),
    )


def _no_fields(_document: Document) -> dict[str, Any]:
    return {}


def _token_classification_fields(document: Document) -> dict[str, Any]:
    labels = document.texts("labels")
    if not labels:
        raise document.error("labels", "at least one label")
    return {"output": document.text("output"), "labels": labels, "unk_token": document.optional_text("unk_token")}


def _feature_extraction_fields(document: Document) -> dict[str, Any]:
    prompts = document.text_map("prompts")
    if len(prompts) > MAX_PROMPTS:
        raise document.error("prompts", f"at most {MAX_PROMPTS} prompts")
    default_prompt = document.optional_text("default_prompt")
    if default_prompt is not None and default_prompt not in prompts:
        raise document.error("default_prompt", f"one of the prompts {', '.join(prompts) or '(no prompt)'}")
    return {
        "output": document.text("output"),
        "pooling": document.choice("pooling", POOLINGS) if document.has("pooling") else "none",
        "normalize": _flag(document, "normalize", default=False),
        "prompts": prompts,
        "default_prompt": default_prompt,
        "pools_prompt": _flag(document, "pools_prompt", default=True),
        "dimensions": document.integers("dimensions", 1) if document.has("dimensions") else (),
    }


def _text_ranking_fields(document: Document) -> dict[str, Any]:
    has_activation = document.has("activation")
    activation = document.choice("activation", ACTIVATIONS[::2]) if has_activation else "none"
    return {"output": document.text("output"), "activation": activation}


def _fill_mask_fields(document: Document) -> dict[str, Any]:
    return {"output": document.text("output"), "mask_token": document.text("mask_token")}


def _question_answering_fields(document: Document) -> dict[str, Any]:
    return {
        "start": document.text("start"),
        "end": document.text("end"),
        "cls_token": document.optional_text("cls_token"),
    }


def _zero_shot_fields(document: Document) -> dict[str, Any]:
    return {"output": document.text("output"), "entailment": document.integer("entailment", 0)}


_OWN_FIELDS = {
    TextClassification: _no_fields,
    TokenClassification: _token_classification_fields,
    FeatureExtraction: _feature_extraction_fields,
    TextRanking: _text_ranking_fields,
    FillMask: _fill_mask_fields,
    QuestionAnswering: _question_answering_fields,
    ZeroShotClassification: _zero_shot_fields,
}
"""The function that reads each declaration's own fields."""


def _flag(document: Document, field: str, *, default: bool) -> bool:
    """Return a boolean, or the default if the field is absent or null."""
    value = document.content.get(field)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise document.error(field, "true or false")
    return value
