"""The generation: how a manifest says what a model makes, a text or images, and by which of its tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from onnxlet.contract.document import Document
from onnxlet.record import Record, to_dict

LAYOUTS = ("NHWC", "NCHW")
ENCODINGS = ("index", "one_hot")


class TextGeneration(Record):
    """How a recurrent step model continues a text: one token and the state in, scores of the next and the state out."""

    vocabulary: tuple[str, ...]
    """The tokens, single characters, in the order of the scores."""
    token: str
    """The input that takes one token."""
    encoding: str
    """How: `index` (INT64), or `one_hot` (FP32, as many numbers as there are tokens)."""
    scores: str
    """The output with the next token's scores, FP32: logits or logarithms of probabilities."""
    state: Mapping[str, str]
    """For each input of the state, which begins as zeros, the output that it becomes."""

    def inputs(self) -> list[str]:
        """The names of the inputs that it feeds."""
        return [self.token, *self.state]

    def outputs(self) -> list[str]:
        """The names of the outputs that it reads."""
        return [self.scores, *self.state.values()]

    def to_document(self) -> dict[str, Any]:
        """The JSON object that `parse_generation` reads."""
        return {"kind": "text", **to_dict(self)}


class ImageGeneration(Record):
    """How a generator's output becomes images: `pixel = value * scale + shift`, cut off at 0 and 255."""

    latent: str
    """The input that takes random numbers, FP32, normally distributed."""
    images: str
    """The output, FP32 with four dimensions."""
    layout: str = "NHWC"
    """Of the output: `NHWC` (Keras) or `NCHW` (PyTorch)."""
    scale: float = 255.0
    shift: float = 0.0

    def inputs(self) -> list[str]:
        """The names of the inputs that it feeds."""
        return [self.latent]

    def outputs(self) -> list[str]:
        """The names of the outputs that it reads."""
        return [self.images]

    def to_document(self) -> dict[str, Any]:
        """The JSON object that `parse_generation` reads."""
        return {"kind": "image", **to_dict(self)}


Generation = TextGeneration | ImageGeneration


def parse_generation(document: Document) -> Generation:
    """Read the declaration of what a model generates, and how.

    Raises:
        ManifestError: anything malformed.
    """
    return _parse_text(document) if document.choice("kind", ("text", "image")) == "text" else _parse_image(document)


def _parse_text(document: Document) -> TextGeneration:
    vocabulary = document.texts("vocabulary")
    if not vocabulary or len(set(vocabulary)) != len(vocabulary) or any(len(token) != 1 for token in vocabulary):
        raise document.error("vocabulary", "different single characters")
    return TextGeneration(
        vocabulary=vocabulary,
        token=document.text("token"),
        encoding=document.choice("encoding", ENCODINGS),
        scores=document.text("scores"),
        state=document.text_map("state"),
    )


def _parse_image(document: Document) -> ImageGeneration:
    defaults = ImageGeneration("", "")
    has = document.content.__contains__
    return ImageGeneration(
        latent=document.text("latent"),
        images=document.text("images"),
        layout=document.choice("layout", LAYOUTS) if has("layout") else defaults.layout,
        scale=document.number("scale") if has("scale") else defaults.scale,
        shift=document.number("shift") if has("shift") else defaults.shift,
    )
