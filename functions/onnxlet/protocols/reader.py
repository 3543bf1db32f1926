"""Reading of images and arrays that a client sends, whichever protocol carries them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from onnxlet.contract import tensors
from onnxlet.contract.tensors import DATATYPES, Tensor
from onnxlet.errors import ForbiddenError, InvalidTensorError, TooLargeError, UnsupportedMediaError
from onnxlet.limits import MAX_DECODED_BYTES, MAX_INSTANCES, MAX_ROWS, memory
from onnxlet.media import images
from onnxlet.models.model import JOINED
from onnxlet.record import Record
from onnxlet.tasks.rows import Batch, Images, Rows, Sound

if TYPE_CHECKING:
    from onnxlet.contract.declarations import ImagePreprocess
    from onnxlet.contract.manifest import Manifest
    from onnxlet.contract.tensors import TensorSpec

Fetch = Callable[[str], bytes]
"""Reads the object at a URL, if requests may read it."""


def no_references(url: str) -> bytes:
    """Refuse to read an object that a payload names.

    Raises:
        ForbiddenError: always.
    """
    raise ForbiddenError(f"{url:.200}: references are not read here")


class Reader(Record):
    """The model's manifest, and how to read what a payload for it contains or names."""

    manifest: Manifest
    fetch: Fetch = no_references
    """Reads the objects that a payload names."""
    keeps_size: bool = False
    """Whether images keep their own size, to be shown to a person; else large ones are shrunk to the model's size."""

    def only_input(self) -> TensorSpec:
        """Return the model's one input.

        Raises:
            UnsupportedMediaError: the model has several inputs.
        """
        first, *others = self.manifest.inputs
        if others:
            raise UnsupportedMediaError(
                f'model "{self.manifest.model}" has {len(others) + 1} inputs: send JSON with a value for each'
            )
        return first

    def image(self, body: bytes, media_type: str, declaration: ImagePreprocess) -> Images:
        """Decode an image; raise as `images.decode` does."""
        pixels, size = images.decode(body, media_type, declaration, is_whole=self.keeps_size)
        return self._kept(pixels, (size,))

    def sound(self, body: bytes) -> Sound:
        """Decode a WAV file; raise as `sounds.decode` does.

        Raises:
            UnsupportedMediaError: the model does not take sounds.
        """
        from onnxlet.media import sounds  # few models take sounds

        if self.manifest.takes() != "sound":
            raise UnsupportedMediaError(f'model "{self.manifest.model}" takes a {self.manifest.takes()}, not a sound')
        return Sound(*sounds.decode(body))

    def array(self, body: bytes) -> Iterator[Rows]:
        """Decode a `.npy` file: the model's one input, with or without the dimension of rows, or pixels of images.

        Raises:
            UnreadablePayloadError: the file is damaged.
            UnsupportedMediaError: the model has several inputs.
            InvalidTensorError: the array has another shape than the model's images.
            TooLargeError: the array has too many rows.
        """
        from onnxlet.media import npy  # few clients send arrays as files

        tensor, spec = npy.decode(body), self.only_input()
        declaration = self.manifest.preprocess
        if declaration is not None and tensor.datatype.name == "UINT8" and spec.datatype.name != "UINT8":
            return self._images(tensor, spec, declaration)
        return iter(_batches(tensor, spec))

    def bounded(self, rows: Iterable[Rows]) -> Iterator[Rows]:
        """Pass rows on as long as their tensors together are not too large.

        Raises:
            TooLargeError: the tensors take more than `MAX_DECODED_BYTES`.
        """
        size_bytes = 0
        for item in rows:
            size_bytes += self._size_bytes(item)
            _check_size(size_bytes)
            yield item

    def _size_bytes(self, rows: Rows) -> int:
        """Return the size of the tensors that rows become."""
        if isinstance(rows, Batch):
            return sum(tensor.buffer.nbytes for tensor in rows.inputs.values())
        if not isinstance(rows, Images):
            return 0  # the task counts the memory of the tensors that it makes
        declaration = self.manifest.preprocess
        assert declaration is not None, "only models with preprocessing take images"
        return rows.pixels.shape[0] * _elements(declaration) * self.manifest.inputs[0].datatype.size_bytes

    def _images(self, pixels: Tensor, spec: TensorSpec, declaration: ImagePreprocess) -> Iterator[Images]:
        """Return the pixels of an array, one image at a time if the model takes one at a time."""
        pixels = _with_rows(pixels, 4)
        if len(pixels.shape) != 4 or pixels.shape[3] != declaration.channels:
            raise InvalidTensorError(
                f"expected pixels (height, width, {declaration.channels}), or a batch of such, got {pixels.shape}"
            )
        _check_size(pixels.shape[0] * _elements(declaration) * DATATYPES["FP32"].size_bytes)
        for part in _split(pixels) if spec.shape is not None and spec.shape[:1] == (1,) else [pixels]:
            with memory.taken(images.resizing_bytes(part, declaration)):
                shrunk = part if self.keeps_size else images.shrunk(part, declaration)
            count, height, width, _ = part.shape
            yield self._kept(shrunk, ((height, width),) * count)

    def _kept(self, pixels: Tensor, sizes: tuple[tuple[int, int], ...]) -> Images:
        """Return images of these own sizes, and count the memory of pixels that stay as long as the request."""
        if self.keeps_size:
            memory.take(JOINED * pixels.buffer.nbytes)
        return Images(pixels, sizes)


def _batches(tensor: Tensor, spec: TensorSpec) -> list[Batch]:
    """Return an array as the model's one input, one row at a time if the model takes one at a time."""
    memory.take(JOINED * tensor.buffer.nbytes)
    if spec.shape is None:
        return [Batch({spec.name: tensor}, None)]
    tensor = _with_rows(tensor, len(spec.shape))
    has_rows = bool(tensor.shape and spec.shape) and isinstance(spec.shape[0], str)
    if has_rows and tensor.shape[0] > MAX_ROWS:
        raise TooLargeError(f"expected at most {MAX_ROWS} rows, got {tensor.shape[0]}: POST them to /v2 as binary data")
    if spec.shape[:1] == (1,) and len(tensor.shape) == len(spec.shape):
        return [Batch({spec.name: row}, 1) for row in _split(tensor)]
    return [Batch({spec.name: tensor}, tensor.shape[0] if has_rows else None)]


def _with_rows(tensor: Tensor, rank: int) -> Tensor:
    """Return a single row as a batch of one: with a first dimension, if it is the only one that is missing."""
    if len(tensor.shape) != rank - 1:
        return tensor
    return Tensor(tensor.datatype, (1, *tensor.shape), tensor.buffer)


def _split(tensor: Tensor) -> list[Tensor]:
    """Return the rows of a tensor, for a model that takes one at a time."""
    if not 0 < tensor.shape[0] <= MAX_INSTANCES:
        raise TooLargeError(f"expected 1 to {MAX_INSTANCES} rows for a model that takes one, got {tensor.shape[0]}")
    return tensors.split(tensor, [1] * tensor.shape[0])


def _elements(declaration: ImagePreprocess) -> int:
    """Return the number of values that one image becomes."""
    return declaration.height * declaration.width * declaration.channels


def _check_size(size_bytes: int) -> None:
    if size_bytes > MAX_DECODED_BYTES:
        raise TooLargeError(
            f"expected a request that becomes at most {MAX_DECODED_BYTES} bytes of tensors, got {size_bytes}"
        )
