"""The V1 protocol: instances row by row, or inputs column by column, as JSON.

Source: TensorFlow Serving, "RESTful API" (row and column format, `{"b64": ...}`); Vertex AI, "Get online predictions"
(`{"instances": [...], "parameters": {...}}`).
"""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from onnxlet.contract import json_tensors, tensors
from onnxlet.contract.tensors import Dimension, Tensor, TensorSpec
from onnxlet.errors import InvalidRequestError, InvalidTensorError, UnreadablePayloadError, json_word
from onnxlet.limits import MAX_INSTANCES, deadline
from onnxlet.media import media_types
from onnxlet.protocols.reader import Reader
from onnxlet.tasks.rows import Batch, Items, Rows

if TYPE_CHECKING:
    from onnxlet.contract.declarations import ImagePreprocess
    from onnxlet.contract.manifest import Manifest

BASE64 = "b64"
IMAGE_PATH = "image_path"


def parse_rows(reader: Reader, instances: object) -> Iterator[Rows]:
    """Decode a list of instances, each to one row.

    For a task that takes texts or rows of a table, an instance is what the task takes. Else it is a nested list for the
    model's one input, or an object with one for each input by name; for a model of images or sounds it may be base64
    text, `{"b64": base64 text}` or `{"image_path": URL}`.

    Raises:
        InvalidRequestError: not a list of instances.
        InvalidTensorError: an instance does not fit the model's inputs.
        ForbiddenError, UnreadablePayloadError, TooLargeError: an image cannot be read.
    """
    if not isinstance(instances, list) or not 0 < len(instances) <= MAX_INSTANCES:
        raise InvalidRequestError(f"instances: expected a list of 1 to {MAX_INSTANCES}, got {_describe(instances)}")
    if reader.manifest.takes() == "table":
        from onnxlet.protocols import tables  # few models take a table

        return tables.rows_of(reader.manifest, instances)
    if reader.manifest.takes() == "text":
        return Items(instances).each()
    return reader.bounded(_parse_row(reader, instance) for instance in instances)


def parse_columns(manifest: Manifest, inputs: object) -> Batch:
    """Decode whole tensors: one for each input by name, or one bare value for the only input.

    Raises:
        InvalidTensorError: the values do not fit the model's inputs.
    """
    values = _by_name(manifest, inputs)
    specs = {spec.name: spec for spec in manifest.inputs}
    columns = {name: _to_tensor(_known(specs, name), value) for name, value in values.items()}
    return Batch({name: _as_column(tensor, 1, specs[name].shape or ()) for name, tensor in columns.items()}, None)


def is_one_row(manifest: Manifest, value: object) -> bool:
    """Return whether a list can only be a single row of the model's one input, without brackets around it."""
    first, *others = manifest.inputs
    if others or first.shape is None or not _has_rows(first) or set(first.shape[1:]) <= {1}:
        return False
    depth, leaf = 0, value
    while isinstance(leaf, list) and leaf and depth < len(first.shape):
        depth, leaf = depth + 1, leaf[0]
    has_type = isinstance(leaf, str) if first.datatype.name == "BYTES" else isinstance(leaf, int | float | None)
    return depth == len(first.shape) - 1 and has_type


def decode_base64(text: object) -> bytes:
    """Return the bytes that base64 text stands for.

    Raises:
        UnreadablePayloadError: the value is not base64 text.
    """
    if not isinstance(text, str):
        raise UnreadablePayloadError(f"expected base64 text, got {_describe(text)}")
    if text.startswith("data:"):  # as browsers write it
        text = text.partition(",")[2]
    try:
        return b64decode("".join(text.split()), validate=True)  # `base64` and mail write it in lines
    except (Base64Error, ValueError) as error:
        raise UnreadablePayloadError(f"expected base64 text: {error}") from error


def _parse_row(reader: Reader, instance: object) -> Rows:
    deadline.check()
    manifest = reader.manifest
    if manifest.preprocess is not None:
        image = _file_bytes(reader, instance)
        if image is not None:
            return _parse_image(reader, image, manifest.preprocess)
    sound = _file_bytes(reader, instance) if manifest.takes() == "sound" else None
    if sound is not None:
        return reader.sound(sound)
    values = _by_name(manifest, instance)
    specs = {spec.name: spec for spec in manifest.inputs}
    has_rows = all(_has_rows(spec) for spec in specs.values())
    inputs = {}
    for name, value in values.items():
        spec = _known(specs, name)
        tensor = _to_tensor(spec, value)
        if has_rows:
            tensor = _as_column(tensor, 0, (spec.shape or ())[1:])
            _require_brackets(tensor, spec)
        inputs[name] = Tensor(tensor.datatype, (1, *tensor.shape), tensor.buffer) if has_rows else tensor
    return Batch(inputs, 1 if has_rows else None)


def _parse_image(reader: Reader, image: bytes, declaration: ImagePreprocess) -> Rows:
    """Decode one image: a file, or its pixels as an array."""
    kind = media_types.kind_of(image)
    if kind != media_types.NPY:
        return reader.image(image, kind, declaration)
    first, *others = reader.array(image)
    if others or first.rows != 1:
        raise InvalidTensorError("instances: expected one image in each, got an array of several")
    return first


def _file_bytes(reader: Reader, instance: object) -> bytes | None:
    """Return the image or the sound that an instance contains or names; None if the instance is numbers."""
    if isinstance(instance, str):
        return decode_base64(instance)
    if isinstance(instance, dict) and instance.keys() == {BASE64}:
        return decode_base64(instance[BASE64])
    if isinstance(instance, dict) and instance.keys() == {IMAGE_PATH}:
        if not isinstance(instance[IMAGE_PATH], str):
            raise InvalidRequestError(f"{IMAGE_PATH}: expected a URL, got {_describe(instance[IMAGE_PATH])}")
        return reader.fetch(instance[IMAGE_PATH])
    return None


def _by_name(manifest: Manifest, value: object) -> Mapping[str, Any]:
    """Return a value for each input by name; a bare value is for the only input."""
    if isinstance(value, dict) and value.keys() != {BASE64}:
        return value
    names = [spec.name for spec in manifest.inputs]
    if len(names) != 1:
        raise InvalidTensorError(f"expected an object with {', '.join(names)}, got {_describe(value)}")
    return {names[0]: value}


def _known(specs: Mapping[str, TensorSpec], name: str) -> TensorSpec:
    if name not in specs:
        raise InvalidTensorError(f'input "{name}": the model has no such input, expected {", ".join(specs)}')
    return specs[name]


def _has_rows(spec: TensorSpec) -> bool:
    """Return whether an input's first dimension counts rows, so that an instance is one of them."""
    return spec.shape is None or (len(spec.shape) > 0 and (isinstance(spec.shape[0], str) or spec.shape[0] == 1))


def _as_column(tensor: Tensor, rank: int, shape: Sequence[Dimension]) -> Tensor:
    """Add the dimensions of 1 in which a declared shape ends: clients write the values of a table's column bare.

    Args:
        tensor: The client's values.
        rank: The number of dimensions that bare values have: 0 in a row, 1 in a column.
        shape: The declared dimensions.
    """
    ones = shape[rank:]
    if len(tensor.shape) != rank or set(ones) != {1}:
        return tensor
    return Tensor(tensor.datatype, (*tensor.shape, *(1 for _ in ones)), tensor.buffer)


def _require_brackets(tensor: Tensor, spec: TensorSpec) -> None:
    """Refuse a bare number as a row of several: the client most likely forgot the brackets around its only row."""
    if not tensor.shape and spec.shape is not None and len(spec.shape) > 1:
        raise InvalidTensorError(
            f'input "{spec.name}": expected rows of {spec}, got a bare value: each row needs its own brackets'
        )


def _to_tensor(spec: TensorSpec, value: object) -> Tensor:
    return json_tensors.from_nested(
        spec.name, spec.datatype, _with_bytes(value) if spec.datatype.name == "BYTES" else value
    )


def _with_bytes(value: object, depth: int = 0) -> object:
    """Replace each `{"b64": ...}` in a value by its bytes."""
    if isinstance(value, dict) and value.keys() == {BASE64}:
        return decode_base64(value[BASE64])
    if isinstance(value, list) and depth <= tensors.MAX_RANK:
        return [_with_bytes(item, depth + 1) for item in value]
    return value


def _describe(value: object) -> str:
    return f"{len(value)}" if isinstance(value, list) else json_word(value)
