"""Payload -> tensors -> answer: images, arrays, text and JSON in; labels or values out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from onnxlet import deadline
from onnxlet.contract import tensors
from onnxlet.contract.tensors import Tensor
from onnxlet.errors import (
    ForbiddenError,
    InvalidJsonError,
    InvalidRequestError,
    TooLargeError,
    UnreadablePayloadError,
    UnsupportedMediaError,
    json_word,
)
from onnxlet.limits import MAX_LABELS
from onnxlet.media import images, media_types
from onnxlet.media.json_body import parse_json
from onnxlet.models.batches import Batch, Outputs, run
from onnxlet.models.model import Model
from onnxlet.protocols.instances import Decoded, Fetch, image_batch, is_one_row, npy_batches, only_input, parse_rows

if TYPE_CHECKING:
    from onnxlet.media.multipart import Part

TEXT_ENCODINGS = {
    "": "utf-8-sig",
    "utf-8": "utf-8-sig",
    "utf8": "utf-8-sig",
    "us-ascii": "utf-8-sig",
    "iso-8859-1": "iso-8859-1",
    "windows-1252": "cp1252",
    "utf-16": "utf-16",
}
"""Python's names for the character sets of texts."""

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


def decode(model: Model, media_type: str, body: bytes, fetch: Fetch = no_references, key: str = "") -> list[Batch]:
    """Read a payload.

    Args:
        model: The model that it is for.
        media_type: The declared type of the payload, with its parameters; `media.kind_of` decides what it is.
        body: The payload.
        fetch: Reads a referenced object, where a request may.
        key: The key of a stored object.

    Raises:
        InvalidRequestError: an empty body, or JSON of another form.
        InvalidTensorError: values that do not fit the model's inputs.
        ForbiddenError: a reference to what a request may not read.
        UnsupportedMediaError: a payload of a kind that this model does not take.
        UnreadablePayloadError, TooLargeError: not what its type says, or too large.
    """
    if not body:
        raise InvalidRequestError("the body is empty, expected a payload")
    kind = media_types.kind_of(body, media_type, key)
    if kind == media_types.MULTIPART:
        return _decode_parts(model, media_type, body, fetch)
    return _decode_one(model, kind, body, fetch, media_type)


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
    scores = model.manifest.class_output()
    _check_labels(model, [found[scores] for _, found, is_label in answers if is_label], top_k)
    predictions: list[Any] = []
    for batch, found, is_label in answers:
        deadline.check()
        predictions += _label(model, found[scores], top_k) if is_label else _values(batch, found)
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


def _decode_parts(model: Model, media_type: str, body: bytes, fetch: Fetch) -> list[Batch]:
    """Read a form: its files, or its fields where it has no file or where the model takes texts."""
    from onnxlet.media import multipart  # few functions are ever sent one

    parts = [part for part in multipart.parse(media_type, body) if part.body or not part.is_unfilled]
    files = [part for part in parts if not part.is_field or media_types.sniff(part.body)]
    decoded = Decoded()
    for part in files if files and not _takes_text(model) else parts:
        deadline.check()
        decoded.add_all(_decode_part(model, part, fetch))
    if not decoded.batches:
        raise InvalidRequestError("expected a form with a file, got one without")
    return decoded.batches


def _decode_part(model: Model, part: Part, fetch: Fetch) -> list[Batch]:
    """Read one part of a form; what says nothing of itself is text, which for a model of images is base64."""
    found = media_types.kind_of(part.body, part.media_type)
    is_text = media_types.canonical(part.media_type) in media_types.SILENT and not media_types.sniff(part.body)
    if is_text and _takes_text(model):
        found = media_types.TEXT
    elif is_text and part.is_field and model.manifest.preprocess is not None and found != media_types.JSON:
        return parse_rows(model, [part.body.decode("utf-8", "replace").strip()], fetch)
    kind = media_types.TEXT if found in media_types.SILENT else found  # RFC 2046, section 5.2
    return _decode_one(model, kind, part.body, fetch, part.media_type)


def _decode_one(model: Model, kind: str, body: bytes, fetch: Fetch, media_type: str) -> list[Batch]:
    """Read a payload that is not a form."""
    if kind in images.FORMATS:
        return [_decode_image(model, kind, body)]
    if kind == media_types.NPY:
        return npy_batches(model, body)
    if kind == media_types.TEXT and not _takes_text(model) and media_types.begins_as_json(body):
        kind = media_types.JSON
    if kind == media_types.JSON:
        return parse_rows(model, _parse_instances(model, body), fetch)
    if kind == media_types.TEXT:
        return [_decode_text(model, body, media_type)]
    raise UnsupportedMediaError(f"expected {', '.join(media_types.MEDIA_TYPES)}, got {kind[:80] or 'no media type'}")


def _decode_image(model: Model, kind: str, body: bytes) -> Batch:
    if model.manifest.preprocess is None:
        name = model.manifest.model
        raise UnsupportedMediaError(f'model "{name}" takes tensors, not images: POST /v2/models/{name}/infer')
    return image_batch(model, body, kind, model.manifest.preprocess)


def _takes_text(model: Model) -> bool:
    return [spec.datatype.name for spec in model.manifest.inputs] == ["BYTES"]


def _decode_text(model: Model, body: bytes, media_type: str) -> Batch:
    """One string, for a model whose one input is strings."""
    spec = only_input(model)
    if spec.datatype.name != "BYTES":
        raise UnsupportedMediaError(f'model "{model.manifest.model}" takes {spec}, not text')
    charset = media_types.charset_of(media_type)
    if charset not in TEXT_ENCODINGS:
        raise UnsupportedMediaError(f"expected text as UTF-8, got the character set {charset[:80]!r}")
    try:
        text = body.decode(TEXT_ENCODINGS[charset])
    except UnicodeDecodeError as error:
        raise UnreadablePayloadError(f"expected text as {charset.upper() or 'UTF-8'}: {error}") from error
    shape = tuple(1 if isinstance(size, str) else size for size in spec.shape or ())
    return Batch({spec.name: tensors.from_values(spec.name, spec.datatype, shape, [text])}, 1 if shape else None)


def _parse_instances(model: Model, body: bytes) -> list[Any]:
    """What a JSON payload asks about: `{"instances": [...]}`, a list of instances, or one instance."""
    document = parse_json(body)
    if isinstance(document, dict | str) and not (isinstance(document, dict) and "instances" in document):
        return [document]
    if isinstance(document, dict):
        document = document["instances"]
    elif is_one_row(model, document):
        return [document]
    if isinstance(document, list):
        return document
    raise InvalidJsonError(f"expected instances, got {json_word(document)}")


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
