"""Fields of the files in a folder of Hugging Face's form: the kind of value that each of them must have."""

import math
from collections.abc import Mapping
from typing import Any

from onnxlet_publishing.errors import UsageError

OBJECT = "an object"
TEXT = "a text"
TEXTS = "a list of texts"
NUMBER = "a finite number"
NUMBERS = "a list of finite numbers"
INTEGER = "an integer"
SIZE = "an integer, or an object or a list of integers"

FIELDS = {
    "architectures": TEXTS,
    "crop_pct": NUMBER,
    "crop_size": SIZE,
    "default_prompt_name": TEXT,
    "id2label": OBJECT,
    "image_mean": NUMBERS,
    "image_std": NUMBERS,
    "matryoshka_dimensions": NUMBERS,
    "model_max_length": NUMBER,
    "model_type": TEXT,
    "pad_token_id": INTEGER,
    "problem_type": TEXT,
    "prompts": OBJECT,
    "resample": INTEGER,
    "rescale_factor": NUMBER,
    "sentence_transformers": OBJECT,
    "size": SIZE,
}
"""The kind of each field that importers work with. They ignore other fields, or check them where they read them."""


def check(document: Mapping[str, Any], path: object) -> None:
    """Refuse a file with a field of another kind; null stands for an absent field.

    Args:
        document: The content of the file.
        path: The path of the file, for the error.

    Raises:
        UsageError: A field is of another kind.
    """
    for name, kind in FIELDS.items():
        value = document.get(name)
        if value is not None and not _is(value, kind):
            raise UsageError(f"{path}: {name}: expected {kind}, got {value!r:.80}")


def _is(value: object, kind: str) -> bool:
    """Return whether a value is of a kind."""
    if kind in {TEXTS, NUMBERS}:
        item = TEXT if kind == TEXTS else NUMBER
        return isinstance(value, list) and all(_is(each, item) for each in value)
    if kind == SIZE:
        sides = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else [value]
        return all(side is None or _is(side, INTEGER) for side in sides)
    if kind == NUMBER:
        return type(value) in {int, float} and math.isfinite(value) and abs(value) < 2**128  # type: ignore[arg-type]
    if kind == INTEGER:
        return type(value) is int and abs(value) < 2**63
    return isinstance(value, dict if kind == OBJECT else str)
