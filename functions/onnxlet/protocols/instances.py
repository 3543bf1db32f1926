"""The instances: what a JSON client asks about, row by row or column by column, as tensors.

Source: TensorFlow Serving, "RESTful API" (row and column format, `{"b64": ...}`); Vertex AI, "Get online predictions"
(`{"instances": [...], "parameters": {...}}`).
"""

from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from onnxlet import deadline, memory
from onnxlet.contract import tensors
from onnxlet.contract.manifest import ImagePreprocess
from onnxlet.contract.tensors import DATATYPES, Dimension, Tensor, TensorSpec
from onnxlet.errors import (
    InvalidRequestError,
    InvalidTensorError,
    TooLargeError,
    UnreadablePayloadError,
    UnsupportedMediaError,
    json_word,
)
from onnxlet.limits import MAX_DECODED_BYTES, MAX_INSTANCES, MAX_ROWS
from onnxlet.media import images, media_types, npy
from onnxlet.models.batches import Batch
from onnxlet.models.model import Model

Fetch = Callable[[str], bytes]
"""Reads what a URL of an object names, where a request may."""

JOINED = 2
"""Each image's tensor is kept, and copied where several run as one."""

BASE64 = "b64"
IMAGE_PATH = "image_path"


class Decoded:
    """The batches that a request becomes, as long as there are not too many of them."""

    def __init__(self) -> None:
        """Begin with none."""
        self.batches: list[Batch] = []
        self._size_bytes = 0

    def add(self, batch: Batch) -> None:
        """Take one more.

        Raises:
            TooLargeError: together they take too much memory.
        """
        self._size_bytes += sum(tensor.buffer.nbytes for tensor in batch.inputs.values())
        _check_size(self._size_bytes)
        self.batches.append(batch)

    def add_all(self, batches: Iterable[Batch]) -> None:
        """Take several more; raises as `add`."""
        for batch in batches:
            self.add(batch)


def check_decoded(declaration: ImagePreprocess, rows: int) -> None:
    """Refuse so many images at once; raises as `Decoded.add`."""
    _check_size(rows * declaration.height * declaration.width * declaration.channels * DATATYPES["FP32"].size_bytes)


def _check_size(size_bytes: int) -> None:
    if size_bytes > MAX_DECODED_BYTES:
        raise TooLargeError(
            f"expected a request that becomes at most {MAX_DECODED_BYTES} bytes of tensors, got {size_bytes}"
        )


def parse_rows(model: Model, instances: object, fetch: Fetch) -> list[Batch]:
    """One batch of one row for each instance.

    An instance is a nested list for the model's one input, or an object with one for each input by name. For a model of
    images it may be base64 text, `{"b64": base64 text}` or `{"image_path": URL}` instead.

    Raises:
        InvalidRequestError: no list of instances.
        InvalidTensorError: an instance that does not fit the model's inputs.
        ForbiddenError, UnreadablePayloadError, TooLargeError: an image that cannot be had.
    """
    if not isinstance(instances, list) or not 0 < len(instances) <= MAX_INSTANCES:
        raise InvalidRequestError(f"instances: expected a list of 1 to {MAX_INSTANCES}, got {_describe(instances)}")
    decoded = Decoded()
    for instance in instances:
        deadline.check()
        decoded.add(_parse_row(model, instance, fetch))
    return decoded.batches


def parse_columns(model: Model, inputs: object) -> Batch:
    """One batch of whole tensors: for each input by name, or one bare value for the only one.

    Raises:
        InvalidTensorError: they do not fit the model's inputs.
    """
    values = _by_name(model, inputs)
    specs = {spec.name: spec for spec in model.manifest.inputs}
    found = {name: _to_tensor(_known(specs, name), value) for name, value in values.items()}
    return Batch({name: _as_column(tensor, 1, specs[name].shape or ()) for name, tensor in found.items()}, None)


def image_batch(model: Model, body: bytes, media_type: str, declaration: ImagePreprocess) -> Batch:
    """One batch of one row: an image; raises as `images.decode`."""
    pixels = images.decode(body, media_type, declaration, is_whole=model.keeps_images)
    inputs = model.to_inputs(pixels)
    memory.take(JOINED * sum(tensor.buffer.nbytes for tensor in inputs.values()))
    return Batch(inputs, 1, is_image=True)


def npy_batches(model: Model, body: bytes) -> list[Batch]:
    """An array: the model's one input, with or without the dimension of rows, or images as pixels."""
    tensor, spec = npy.decode(body), only_input(model)
    declaration = model.manifest.preprocess
    if declaration is not None and tensor.datatype.name == "UINT8" and spec.datatype.name != "UINT8":
        if len(tensor.shape) == 3:
            tensor = Tensor(tensor.datatype, (1, *tensor.shape), tensor.buffer)
        if len(tensor.shape) != 4 or tensor.shape[3] != declaration.channels:
            raise InvalidTensorError(
                f"expected pixels (height, width, {declaration.channels}), or a batch of such, got {tensor.shape}"
            )
        check_decoded(declaration, tensor.shape[0])
        pixels = _rows_alone(tensor) if spec.shape is not None and spec.shape[:1] == (1,) else [tensor]
        return [_pixel_batch(model, each, declaration) for each in pixels]
    memory.take(JOINED * tensor.buffer.nbytes)
    if spec.shape is not None and len(tensor.shape) == len(spec.shape) - 1:
        tensor = Tensor(tensor.datatype, (1, *tensor.shape), tensor.buffer)
    has_rows = bool(tensor.shape) and spec.shape is not None and isinstance(spec.shape[0], str)
    if has_rows and tensor.shape[0] > MAX_ROWS:
        raise TooLargeError(f"expected at most {MAX_ROWS} rows, got {tensor.shape[0]}: POST them to /v2 as binary data")
    if spec.shape is not None and spec.shape[:1] == (1,) and len(tensor.shape) == len(spec.shape):
        return [Batch({spec.name: row}, 1) for row in _rows_alone(tensor)]
    return [Batch({spec.name: tensor}, tensor.shape[0] if has_rows else None)]


def _pixel_batch(model: Model, pixels: Tensor, declaration: ImagePreprocess) -> Batch:
    with memory.taken(images.resizing_bytes(pixels, declaration)):
        inputs = model.to_inputs(pixels if model.keeps_images else images.shrunk(pixels, declaration))
    memory.take(JOINED * sum(tensor.buffer.nbytes for tensor in inputs.values()))
    return Batch(inputs, pixels.shape[0], is_image=True)


def _rows_alone(tensor: Tensor) -> list[Tensor]:
    """The rows of a tensor, for a model that takes one at a time."""
    if not 0 < tensor.shape[0] <= MAX_INSTANCES:
        raise TooLargeError(f"expected 1 to {MAX_INSTANCES} rows for a model that takes one, got {tensor.shape[0]}")
    return tensors.split(tensor, [1] * tensor.shape[0])


def only_input(model: Model) -> TensorSpec:
    """Return a model's one input.

    Raises:
        UnsupportedMediaError: it has several.
    """
    first, *others = model.manifest.inputs
    if others:
        raise UnsupportedMediaError(
            f'model "{model.manifest.model}" has {len(others) + 1} inputs: send JSON with a value for each'
        )
    return first


def is_one_row(model: Model, value: object) -> bool:
    """Tell whether a list can only be a single row of the model's one input, without brackets around it."""
    first, *others = model.manifest.inputs
    if others or first.shape is None or not _has_rows(first) or set(first.shape[1:]) <= {1}:
        return False
    depth, leaf = 0, value
    while isinstance(leaf, list) and leaf and depth < len(first.shape):
        depth, leaf = depth + 1, leaf[0]
    has_type = isinstance(leaf, str) if first.datatype.name == "BYTES" else isinstance(leaf, int | float | None)
    return depth == len(first.shape) - 1 and has_type


def decode_base64(text: object) -> bytes:
    """The bytes of base64 text.

    Raises:
        UnreadablePayloadError: it is none.
    """
    if not isinstance(text, str):
        raise UnreadablePayloadError(f"expected base64 text, got {_describe(text)}")
    if text.startswith("data:"):  # as browsers write it
        text = text.partition(",")[2]
    try:
        return b64decode("".join(text.split()), validate=True)  # `base64` and mail write it in lines
    except (Base64Error, ValueError) as error:
        raise UnreadablePayloadError(f"expected base64 text: {error}") from error


def _parse_row(model: Model, instance: object, fetch: Fetch) -> Batch:
    declaration = model.manifest.preprocess
    if declaration is not None:
        image = _image_bytes(instance, fetch)
        if image is not None:
            return _image_row(model, image, declaration)
    values = _by_name(model, instance)
    specs = {spec.name: spec for spec in model.manifest.inputs}
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


def _image_row(model: Model, image: bytes, declaration: ImagePreprocess) -> Batch:
    """One batch of one row: an image, or the pixels of one as an array."""
    kind = media_types.kind_of(image)
    if kind != media_types.NPY:
        return image_batch(model, image, kind, declaration)
    first, *others = npy_batches(model, image)
    if others or first.rows != 1:
        raise InvalidTensorError("instances: expected one image in each, got an array of several")
    return first


def _image_bytes(instance: object, fetch: Fetch) -> bytes | None:
    """The image that an instance holds or names, or None for one that is numbers."""
    if isinstance(instance, str):
        return decode_base64(instance)
    if isinstance(instance, dict) and instance.keys() == {BASE64}:
        return decode_base64(instance[BASE64])
    if isinstance(instance, dict) and instance.keys() == {IMAGE_PATH}:
        if not isinstance(instance[IMAGE_PATH], str):
            raise InvalidRequestError(f"{IMAGE_PATH}: expected a URL, got {_describe(instance[IMAGE_PATH])}")
        return fetch(instance[IMAGE_PATH])
    return None


def _by_name(model: Model, value: object) -> Mapping[str, Any]:
    """A value for each input by name; one that is bare is for the only input."""
    if isinstance(value, dict) and value.keys() != {BASE64}:
        return value
    names = [spec.name for spec in model.manifest.inputs]
    if len(names) != 1:
        raise InvalidTensorError(f"expected an object with {', '.join(names)}, got {_describe(value)}")
    return {names[0]: value}


def _known(specs: Mapping[str, TensorSpec], name: str) -> TensorSpec:
    if name not in specs:
        raise InvalidTensorError(f'input "{name}": the model has no such input, expected {", ".join(specs)}')
    return specs[name]


def _has_rows(spec: TensorSpec) -> bool:
    """Whether an input's first dimension counts rows, of which one may be given alone."""
    return spec.shape is None or (len(spec.shape) > 0 and (isinstance(spec.shape[0], str) or spec.shape[0] == 1))


def _as_column(tensor: Tensor, rank: int, shape: Sequence[Dimension]) -> Tensor:
    """A bare value for each row of a column, as clients of tables write it: with the ones that its shape ends in.

    Args:
        tensor: What a client wrote.
        rank: How many dimensions bare values have: none in a row, one in a column.
        shape: The declared dimensions.
    """
    ones = shape[rank:]
    if len(tensor.shape) != rank or set(ones) != {1}:
        return tensor
    return Tensor(tensor.datatype, (*tensor.shape, *(1 for _ in ones)), tensor.buffer)


def _require_brackets(tensor: Tensor, spec: TensorSpec) -> None:
    """Refuse a bare number as a row of several, where a client most likely forgot the brackets around its only row."""
    if not tensor.shape and spec.shape is not None and len(spec.shape) > 1:
        raise InvalidTensorError(
            f'input "{spec.name}": expected rows of {spec}, got a bare value: each row needs its own brackets'
        )


def _to_tensor(spec: TensorSpec, value: object) -> Tensor:
    return tensors.from_nested(spec.name, spec.datatype, _with_bytes(value) if spec.datatype.name == "BYTES" else value)


def _with_bytes(value: object, depth: int = 0) -> object:
    """A value with bytes in place of each `{"b64": ...}`."""
    if isinstance(value, dict) and value.keys() == {BASE64}:
        return decode_base64(value[BASE64])
    if isinstance(value, list) and depth <= tensors.MAX_RANK:
        return [_with_bytes(item, depth + 1) for item in value]
    return value


def _describe(value: object) -> str:
    return f"{len(value)}" if isinstance(value, list) else json_word(value)
