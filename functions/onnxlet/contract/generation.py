"""Generation: the declaration of a model that generates text or images, and of the tensors for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from onnxlet.contract.document import Document
from onnxlet.record import Record, to_dict

LAYOUTS = ("NHWC", "NCHW")
ENCODINGS = ("index", "one_hot")


class TextGeneration(Record):
    """A recurrent model that takes one token and a state, and returns scores for the next token and a new state."""

    vocabulary: tuple[str, ...]
    """The tokens, which are single characters, in the order of the scores."""
    token: str
    """The name of the input for one token."""
    encoding: str
    """The token's form: `index` (INT64) or `one_hot` (FP32, one number for each token)."""
    scores: str
    """The name of the output with the next token's scores, FP32: logits or logarithms of probabilities."""
    state: Mapping[str, str]
    """Outputs that become the next step's state, by the name of their input; the first state is zeros."""

    def inputs(self) -> list[str]:
        """Return the names of the inputs that a generation feeds."""
        return [self.token, *self.state]

    def outputs(self) -> list[str]:
        """Return the names of the outputs that a generation reads."""
        return [self.scores, *self.state.values()]

    def to_document(self) -> dict[str, Any]:
        """Return the JSON object that `parse_generation` reads."""
        return {"kind": "text", **to_dict(self)}


class ImageGeneration(Record):
    """A generator whose output becomes images: `pixel = value * scale + shift`, clipped to 0 to 255."""

    latent: str
    """The name of the input for normally distributed random numbers, FP32."""
    images: str
    """The name of the output, FP32 with four dimensions."""
    layout: str = "NHWC"
    """The output's layout: `NHWC` (Keras) or `NCHW` (PyTorch)."""
    scale: float = 255.0
    shift: float = 0.0

    def inputs(self) -> list[str]:
        """Return the names of the inputs that a generation feeds."""
        return [self.latent]

    def outputs(self) -> list[str]:
        """Return the names of the outputs that a generation reads."""
        return [self.images]

    def to_document(self) -> dict[str, Any]:
        """Return the JSON object that `parse_generation` reads."""
        return {"kind": "image", **to_dict(self)}


Generation = TextGeneration | ImageGeneration


def parse_generation(document: Document) -> Generation:
    """Read the declaration of a generation.

    Raises:
        ManifestError: a field is malformed.
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
