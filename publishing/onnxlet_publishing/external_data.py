"""External data: tensors whose bytes lie in files next to a model are read into the model itself.

onnx has a reader too, but it refuses symbolic and hard links, with which Hugging Face's cache keeps every file.

Source: onnx, `docs/ExternalData.md`.
"""

from collections.abc import Mapping
from math import prod
from pathlib import Path, PurePosixPath

import onnx
from onnx import TensorProto

from onnxlet_publishing.errors import ModelError
from onnxlet_publishing.graph_walk import all_tensors

MAX_BYTES = 2**31 - 1
"""Largest total of a model's external data: protobuf does not write messages of 2 GiB."""

BITS = {"UINT2": 2, "INT2": 2, "UINT4": 4, "INT4": 4, "FLOAT4E2M1": 4}
"""Bits of one value, for datatypes with several values in a byte."""

UNSIZED = ("UNDEFINED", "STRING", "FLOAT6E2M3", "FLOAT6E3M2")
"""Datatypes whose number of bytes does not follow from the shape, or is not yet standardised."""


class _Place:
    """The place of one tensor's bytes in a file."""

    def __init__(self, path: Path, tensor: TensorProto) -> None:
        entries = {entry.key: entry.value for entry in tensor.external_data}
        self._model = path
        self._tensor = tensor.name
        self._file = self._find(entries.get("location", ""))
        self._offset = self._number(entries, "offset", 0)
        left = max(0, self._file.stat().st_size - self._offset)
        size = _size_bytes(tensor)
        self.length = self._number(entries, "length", left if size is None else size)
        """Length in bytes."""
        if size not in {None, self.length}:
            raise self._error(f"expected {size} bytes of external data for its shape, got {self.length}")
        if self.length > left:
            raise self._error(f"expected {self.length} bytes of external data in {self._file}, got {left}")

    def read(self) -> bytes:
        """Return the tensor's bytes.

        Raises:
            ModelError: The file cannot be read, or has become shorter.
        """
        try:
            with self._file.open("rb") as file:
                file.seek(self._offset)
                data = file.read(self.length)
        except OSError as error:
            raise self._error(f"{self._file} cannot be read: {error.strerror}") from error
        if len(data) != self.length:
            raise self._error(f"{self._file} has become shorter while it was read")
        return data

    def _find(self, location: str) -> Path:
        """Return the file at a location, which is a path below the model's folder; links are followed."""
        path = PurePosixPath(location)
        if not path.parts or path.is_absolute() or ".." in path.parts or "\0" in location:
            raise self._error(
                f"external data: expected a path below the model's folder, got {location!r:.200}: "
                "save the model again with its data next to it"
            )
        for folder in (self._model.parent, self._model.resolve().parent):  # the model's file may itself be a link
            if (folder / location).is_file():
                return folder / location
        raise self._error(f"external data: expected the file {self._model.parent / location}, which is missing")

    def _number(self, entries: Mapping[str, str], key: str, default: int) -> int:
        text = entries.get(key, str(default))
        if not text.isascii() or not text.isdigit() or len(text) > 18:
            raise self._error(f"{key} of its external data: expected a number, got {text!r:.80}")
        return int(text)

    def _error(self, reason: str) -> ModelError:
        return ModelError(f'{self._model}: tensor "{self._tensor:.200}": {reason}')


def inline(model: onnx.ModelProto, path: Path) -> bool:
    """Read the external data of a model into it.

    Args:
        model: The model, which is changed.
        path: The model's file, next to which the data lie.

    Returns:
        Whether the model had external data.

    Raises:
        ModelError: The data are missing, too short or too large, or in a place that a model may not name.
    """
    tensors = [tensor for tensor in all_tensors(model) if tensor.data_location == TensorProto.EXTERNAL]
    places = [_Place(path, tensor) for tensor in tensors]
    total = sum(place.length for place in places)
    if total > MAX_BYTES:
        raise ModelError(
            f"{path}: expected at most {MAX_BYTES} bytes of external data, got {total}: too large for one file of 2 GiB"
        )
    for tensor, place in zip(tensors, places, strict=True):
        tensor.raw_data = place.read()
        tensor.ClearField("external_data")
        tensor.ClearField("data_location")
    return bool(tensors)


def _size_bytes(tensor: TensorProto) -> int | None:
    """Return the size of a tensor in bytes; None if it does not follow from the shape and the datatype."""
    known = TensorProto.DataType.values()
    name = TensorProto.DataType.Name(tensor.data_type) if tensor.data_type in known else "UNDEFINED"
    if name in UNSIZED or any(size < 0 for size in tensor.dims):
        return None
    bits = BITS.get(name) or 8 * int(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize)
    return int(-(-prod(tensor.dims) * bits // 8))
