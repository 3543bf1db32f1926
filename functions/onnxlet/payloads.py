"""Payload -> tensors -> answer: images, arrays, text and JSON in; labels or values out."""

from collections.abc import Sequence
from typing import Any

from onnxlet import deadline, images, npy
from onnxlet.batches import Batch, Outputs, run
from onnxlet.config import MAX_LABELS, MAX_ROWS
from onnxlet.contract import tensors
from onnxlet.contract.tensors import Tensor, TensorSpec
from onnxlet.errors import (
    ForbiddenError,
    InvalidJsonError,
    InvalidRequestError,
    InvalidTensorError,
    TooLargeError,
    UnreadablePayloadError,
    UnsupportedMediaError,
)
from onnxlet.http import parse_json
from onnxlet.instances import Decoded, Fetch, check_decoded, image_batch, parse_rows
from onnxlet.model import Model

JSON = "application/json"
NPY = "application/x-npy"
TEXT = "text/plain"
MULTIPART = "multipart/form-data"

MEDIA_TYPES = (*images.FORMATS, NPY, TEXT, JSON, MULTIPART)

UNTOLD = ("", "application/octet-stream", "application/x-www-form-urlencoded")
"""Media types that say nothing: what curl and browsers send where nobody told them; then the first bytes decide."""

MEDIA_TYPE_BY_SUFFIX = {
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "png": "image/png",
    "webp": "image/webp",
    "npy": NPY,
    "txt": TEXT,
    "json": JSON,
}
"""Media types of stored objects, by the suffix of their key."""

DEFAULT_TOP_K = 5


def no_references(url: str) -> bytes:
    """What a payload may fetch where there is nobody to allow it: nothing.

    Raises:
        ForbiddenError: always.
    """
    raise ForbiddenError(f"{url:.200}: references are not read here")


def predict(
    model: Model, media_type: str, body: bytes, top_k: int = DEFAULT_TOP_K, fetch: Fetch = no_references
) -> list[Any]:
    """Answer a payload: one prediction for each row in it; raises as `decode` and `batches.run`."""
    batches = decode(model, media_type, body, fetch)
    return encode(model, batches, run(model, batches), top_k)


def decode(model: Model, media_type: str, body: bytes, fetch: Fetch = no_references) -> list[Batch]:
    """Read a payload.

    Args:
        model: The model that it is for.
        media_type: What the payload is, with its parameters.
        body: The payload.
        fetch: Reads a referenced object, where a request may.

    Raises:
        InvalidRequestError: an empty body, or JSON of another form.
        InvalidTensorError: values that do not fit the model's inputs.
        ForbiddenError: a reference to what a request may not read.
        UnsupportedMediaError: a payload of a kind that this model does not take.
        UnreadablePayloadError, TooLargeError: not what its type says, or too large.
    """
    if not body:
        raise InvalidRequestError("the body is empty, expected a payload")
    kind = media_type.partition(";")[0].strip().lower()
    if kind in UNTOLD:
        kind = _sniff(body) or kind
    if kind == MULTIPART:
        return _decode_parts(model, media_type, body)
    if kind == JSON:
        return parse_rows(model, _parse_instances(body), fetch)
    return [_decode_one(model, kind, body)]


def encode(
    model: Model, batches: Sequence[Batch], outputs: Sequence[Outputs], top_k: int, *, only_images: bool = False
) -> list[Any]:
    """One prediction for each row: labels with probabilities, or the values of the outputs.

    Args:
        model: The model that answered.
        batches: What it was asked.
        outputs: What it answered to each.
        top_k: How many labels to name for each row; at most all.
        only_images: Give labels for images, and values for tensors.

    Raises:
        InvalidTensorError: an output that has no JSON form.
        TooLargeError: More labels or values than one answer may have; they are counted before any is made.
    """
    has_labels = model.manifest.classification is not None
    is_labelled = [has_labels and (batch.is_image or not only_images) for batch in batches]
    answers = list(zip(batches, outputs, is_labelled, strict=True))
    tensors.require_json(
        (tensor for _, found, is_label in answers if not is_label for tensor in found.values()), is_nested=True
    )
    first = model.manifest.outputs[0].name
    _check_labels(model, [found[first] for _, found, is_label in answers if is_label], top_k)
    predictions: list[Any] = []
    for batch, found, is_label in answers:
        deadline.check()
        predictions += _label(model, found[first], top_k) if is_label else _values(batch, found)
    return predictions


def to_nested(outputs: Outputs) -> dict[str, Any]:
    """Return the values of each output, nested as its shape.

    Raises:
        InvalidTensorError: An output has no JSON form.
        TooLargeError: Together they have more values than one answer may have.
    """
    tensors.require_json(outputs.values(), is_nested=True)
    nested = {}
    for name, tensor in outputs.items():
        deadline.check()
        nested[name] = tensors.to_nested(tensor)
    return nested


def bare(values: dict[str, Any]) -> Any:
    """The values by name, or the value alone where there is one name."""
    return next(iter(values.values())) if len(values) == 1 else values


def media_type_of(key: str) -> str:
    """The media type that the suffix of an object's key stands for; the suffix itself where it stands for none."""
    suffix = key.rpartition("/")[2].rpartition(".")[2].lower()
    return MEDIA_TYPE_BY_SUFFIX.get(suffix, suffix)


def _decode_parts(model: Model, media_type: str, body: bytes) -> list[Batch]:
    """A payload of several."""
    from onnxlet import multipart  # few functions are ever sent one

    decoded = Decoded()
    for part in multipart.parse(media_type, body):
        deadline.check()
        kind = part.media_type
        if kind in UNTOLD:
            kind = _sniff(part.body) or kind or TEXT  # RFC 2046: what says nothing is text
        decoded.add(_decode_one(model, kind, part.body))
    return decoded.batches


def _decode_one(model: Model, kind: str, body: bytes) -> Batch:
    """A payload that is one batch."""
    if kind in images.FORMATS:
        return _decode_image(model, kind, body)
    if kind == NPY:
        return _decode_npy(model, body)
    if kind == TEXT:
        return _decode_text(model, body)
    raise UnsupportedMediaError(f"expected {', '.join(MEDIA_TYPES)}, got {kind[:80] or 'no media type'}")


def _decode_image(model: Model, kind: str, body: bytes) -> Batch:
    if model.manifest.preprocess is None:
        name = model.manifest.model
        raise UnsupportedMediaError(f'model "{name}" takes tensors, not images: POST /v2/models/{name}/infer')
    return image_batch(model, body, kind, model.manifest.preprocess)


def _decode_npy(model: Model, body: bytes) -> Batch:
    """An array: the model's one input, with or without the dimension of rows, or images as pixels."""
    tensor, spec = npy.decode(body), _only_input(model)
    declaration = model.manifest.preprocess
    if declaration is not None and tensor.datatype.name == "UINT8" and spec.datatype.name != "UINT8":
        if len(tensor.shape) == 3:
            tensor = Tensor(tensor.datatype, (1, *tensor.shape), tensor.buffer)
        if len(tensor.shape) != 4 or tensor.shape[3] != declaration.channels:
            raise InvalidTensorError(
                f"expected pixels (height, width, {declaration.channels}), or a batch of such, got {tensor.shape}"
            )
        check_decoded(declaration, tensor.shape[0])
        return Batch(model.to_inputs(tensor), tensor.shape[0], is_image=True)
    if spec.shape is not None and len(tensor.shape) == len(spec.shape) - 1:
        tensor = Tensor(tensor.datatype, (1, *tensor.shape), tensor.buffer)
    has_rows = bool(tensor.shape) and spec.shape is not None and isinstance(spec.shape[0], str)
    if has_rows and tensor.shape[0] > MAX_ROWS:
        raise TooLargeError(f"expected at most {MAX_ROWS} rows, got {tensor.shape[0]}: POST them to /v2 as binary data")
    return Batch({spec.name: tensor}, tensor.shape[0] if has_rows else None)


def _decode_text(model: Model, body: bytes) -> Batch:
    """One string, for a model whose one input is strings."""
    spec = _only_input(model)
    if spec.datatype.name != "BYTES":
        raise UnsupportedMediaError(f'model "{model.manifest.model}" takes {spec}, not text')
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise UnreadablePayloadError(f"expected text as UTF-8: {error}") from error
    shape = tuple(1 if isinstance(size, str) else size for size in spec.shape or ())
    return Batch({spec.name: tensors.from_values(spec.name, spec.datatype, shape, [text])}, 1 if shape else None)


def _only_input(model: Model) -> TensorSpec:
    first, *others = model.manifest.inputs
    if others:
        raise UnsupportedMediaError(
            f'model "{model.manifest.model}" has {len(others) + 1} inputs: send JSON with a value for each'
        )
    return first


def _sniff(body: bytes) -> str | None:
    return NPY if body.startswith(npy.MAGIC) else images.sniff(body)


def _parse_instances(body: bytes) -> list[Any]:
    """What a JSON payload asks about: `{"instances": [...]}`, a list of instances, or one instance."""
    document = parse_json(body)
    if isinstance(document, dict) and "instances" in document:
        document = document["instances"]
    if isinstance(document, dict | str):
        return [document]
    if isinstance(document, list):
        return document
    raise InvalidJsonError(f"expected instances, got {type(document).__name__}")


def _check_labels(model: Model, outputs: Sequence[Tensor], top_k: int) -> None:
    """Refuse more labels than one answer may name."""
    classification = model.manifest.classification
    count = 0 if classification is None else min(top_k, len(classification.labels))
    rows = sum(output.shape[0] if output.shape else 1 for output in outputs)
    if rows * count > MAX_LABELS:
        raise TooLargeError(f"expected at most {MAX_LABELS} labels in all, got {rows} rows with {count}: lower top_k")


def _label(model: Model, output: Tensor, top_k: int) -> list[dict[str, Any]]:
    classification = model.manifest.classification
    assert classification is not None, "the caller has looked"
    labels = classification.labels
    count = min(top_k, len(labels))
    indices, probabilities = (tensors.to_values(tensor) for tensor in model.classify(output, count))
    ranked = [
        {"label": labels[index], "probability": probability}
        for index, probability in zip(indices, probabilities, strict=True)
    ]
    return [{**ranked[row], "top": ranked[row : row + count]} for row in range(0, len(ranked), count)]


def _values(batch: Batch, outputs: Outputs) -> list[Any]:
    values = to_nested(outputs)
    if batch.rows is None or any(tensor.shape[:1] != (batch.rows,) for tensor in outputs.values()):
        return [bare(values)]
    return [bare({name: value[row] for name, value in values.items()}) for row in range(batch.rows)]
