"""The generate extension: its requests, for texts and for images.

Source: Open Inference Protocol, `generate_rest.yaml` (`text_input`, `parameters`).
"""

from __future__ import annotations

import os
from base64 import b64encode
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from onnxlet.errors import InvalidRequestError, json_shown
from onnxlet.limits import DEFAULT_GENERATE_LENGTH, MAX_IMAGES, MAX_SEED, MAX_TEMPERATURE
from onnxlet.media import images
from onnxlet.models.generation import GenerateRequest
from onnxlet.protocols.parameters import parse_parameters

if TYPE_CHECKING:
    from onnxlet.contract.manifest import Manifest
    from onnxlet.contract.tensors import Tensor

DEFAULT_LENGTH = 100


def parse_generate(document: Mapping[str, Any], longest: int = DEFAULT_GENERATE_LENGTH) -> GenerateRequest:
    """Read a request, whose fields stand in the document itself or under `parameters`.

    Args:
        document: The request.
        longest: The largest number of tokens, or images, of one request.

    Raises:
        InvalidRequestError: a field has another type, or is outside its range.
    """
    parameters = parse_parameters(document)
    fields = {name: value for name, value in (*parameters.items(), *document.items()) if value is not None}
    prompt = fields.get("text_input", fields.get("prompt", ""))
    if not isinstance(prompt, str) or len(prompt) > longest:
        raise InvalidRequestError(f"text_input: expected a text of at most {longest} characters")
    seed = fields.get("seed")
    return GenerateRequest(
        prompt=prompt,
        length=_integer(fields, "length", min(DEFAULT_LENGTH, longest), 1, longest),
        temperature=_temperature(fields),
        top_k=_integer(fields, "top_k", 0, 0, 2**31),
        count=_integer(fields, "count", 1, 1, min(MAX_IMAGES, longest)),
        seed=_random_seed() if seed is None else _integer(fields, "seed", 0, 0, MAX_SEED),
    )


def text_response(manifest: Manifest, request: GenerateRequest, text: str) -> dict[str, Any]:
    """Return the document of a generated text."""
    return {**_identity(manifest, request), "text_output": text}


def encode_images(pixels: Tensor) -> list[bytes]:
    """Return generated images, UINT8 (batch, height, width, channels), as PNG files."""
    return images.encode_png(pixels)


def images_response(manifest: Manifest, request: GenerateRequest, files: Iterable[bytes]) -> dict[str, Any]:
    """Return the document of generated images, given as PNG files."""
    return {**_identity(manifest, request), "images": [{"b64": b64encode(file).decode()} for file in files]}


def _identity(manifest: Manifest, request: GenerateRequest) -> dict[str, Any]:
    return {"model_name": manifest.model, "model_version": str(manifest.version), "seed": request.seed}


def _random_seed() -> int:
    return int.from_bytes(os.urandom(6))


def _integer(fields: Mapping[str, Any], name: str, default: int, at_least: int, at_most: int) -> int:
    value = fields.get(name, default)
    if type(value) is float and value.is_integer():
        value = int(value)
    if type(value) is not int or not at_least <= value <= at_most:
        raise InvalidRequestError(f"{name}: expected an integer from {at_least} to {at_most}, got {json_shown(value)}")
    return value


def _temperature(fields: Mapping[str, Any]) -> float:
    value = fields.get("temperature", 1.0)
    if type(value) not in {int, float} or not 0 <= value <= MAX_TEMPERATURE:
        raise InvalidRequestError(
            f"temperature: expected a number from 0 to {MAX_TEMPERATURE}, got {json_shown(value)}"
        )
    return float(value)
