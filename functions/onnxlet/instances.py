"""The instances: what a JSON client asks about, row by row or column by column, as tensors.

Source: TensorFlow Serving, "RESTful API" (row and column format, `{"b64": ...}`); Vertex AI, "Get online predictions"
(`{"instances": [...], "parameters": {...}}`).
"""

from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Callable, Mapping
from typing import Any

from onnxlet import deadline, images
from onnxlet.batches import Batch
from onnxlet.config import MAX_DECODED_BYTES, MAX_INSTANCES
from onnxlet.contract import tensors
from onnxlet.contract.manifest import ImagePreprocess
from onnxlet.contract.tensors import DATATYPES, Tensor, TensorSpec
from onnxlet.errors import InvalidRequestError, InvalidTensorError, TooLargeError, UnreadablePayloadError
from onnxlet.model import Model

Fetch = Callable[[str], bytes]
"""Reads what a URL of an object names, where a request may."""

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
    return Batch({name: _to_tensor(_known(specs, name), value) for name, value in values.items()}, None)


def image_batch(model: Model, body: bytes, media_type: str, declaration: ImagePreprocess) -> Batch:
    """One batch of one row: an image; raises as `images.decode`."""
    return Batch(model.to_inputs(images.decode(body, media_type, declaration)), 1, is_image=True)


def decode_base64(text: object) -> bytes:
    """The bytes of base64 text.

    Raises:
        UnreadablePayloadError: it is none.
    """
    if not isinstance(text, str):
        raise UnreadablePayloadError(f"expected base64 text, got {_describe(text)}")
    try:
        return b64decode(text, validate=True)
    except (Base64Error, ValueError) as error:
        raise UnreadablePayloadError(f"expected base64 text: {error}") from error


def _parse_row(model: Model, instance: object, fetch: Fetch) -> Batch:
    declaration = model.manifest.preprocess
    if declaration is not None:
        image = _image_bytes(instance, fetch)
        if image is not None:
            return image_batch(model, image, images.sniff(image) or "", declaration)
    values = _by_name(model, instance)
    specs = {spec.name: spec for spec in model.manifest.inputs}
    has_rows = all(_has_rows(spec) for spec in specs.values())
    inputs = {}
    for name, value in values.items():
        tensor = _to_tensor(_known(specs, name), value)
        inputs[name] = Tensor(tensor.datatype, (1, *tensor.shape), tensor.buffer) if has_rows else tensor
    return Batch(inputs, 1 if has_rows else None)


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
    return f"{len(value)}" if isinstance(value, list) else type(value).__name__
