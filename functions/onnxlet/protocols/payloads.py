"""Payloads, whatever a task takes: images, arrays, text and JSON in; labels or values out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from onnxlet.contract import json_tensors
from onnxlet.errors import (
    InvalidJsonError,
    InvalidRequestError,
    UnsupportedMediaError,
    json_word,
)
from onnxlet.limits import deadline
from onnxlet.media import image_headers, media_types
from onnxlet.media.json_body import parse_json
from onnxlet.models.model import Model
from onnxlet.protocols import v1
from onnxlet.protocols.parameters import parse_parameters
from onnxlet.protocols.reader import Reader
from onnxlet.record import EMPTY, Record
from onnxlet.tasks.rows import Batch, Images, Items, Labels, Outputs, Prediction, Rows

if TYPE_CHECKING:
    from onnxlet.contract.manifest import Manifest
    from onnxlet.media.multipart import Part

TABLES = frozenset({media_types.TEXT, *media_types.TABLES, *media_types.SILENT})
"""The kinds of payload, besides JSON, that are a table if the model takes one."""

INSTANCES = "instances"


class Payload(Record):
    """A decoded payload."""

    rows: Iterator[Rows]
    """The rows, each of which is decoded when it is read."""
    parameters: Mapping[str, object] = EMPTY
    """The parameters that JSON has next to its instances."""


def predict(model: Model, media_type: str, body: bytes, parameters: Mapping[str, object] = EMPTY) -> list[Any]:
    """Answer a payload with one prediction for each row; raise as `decode` and `Model.predict` do."""
    payload = decode(Reader(model.manifest), media_type, body)
    return encode(model.predict(payload.rows, model.parse_parameters({**payload.parameters, **parameters})))


def decode(reader: Reader, media_type: str, body: bytes, key: str = "") -> Payload:
    """Decode a payload, item by item.

    Args:
        reader: The reader for the model that the payload is for.
        media_type: The declared type of the payload, with its parameters; `media_types.kind_of` decides what it is.
        body: The payload.
        key: The key of a stored object.

    Raises:
        InvalidRequestError: the body is empty, or JSON of another form.
        InvalidTensorError: values do not fit the model's inputs.
        ForbiddenError: the payload names an object that requests may not read.
        UnsupportedMediaError: the model does not take payloads of this kind.
        UnreadablePayloadError, TooLargeError: the payload is not what its type says, or too large.
    """
    if not body:
        raise InvalidRequestError("the body is empty, expected a payload")
    kind = media_types.kind_of(body, media_type, key)
    if kind == media_types.MULTIPART:
        return Payload(reader.bounded(_decode_parts(reader, media_type, body)))
    return _decode_one(reader, kind, body, media_type)


def may_be_json(media_type: str, body: bytes) -> bool:
    """Return whether a payload is JSON, or nothing says what it is."""
    return media_types.kind_of(body, media_type) in {"", media_types.JSON}


def encode(predictions: Sequence[Prediction]) -> list[Any]:
    """Return one document for each row: labels with probabilities, the task's answer, or the values of the outputs.

    Raises:
        InvalidTensorError: an output has no JSON form.
        TooLargeError: the outputs have more values than one answer may have; they are counted first.
    """
    values = (tensor for item in predictions if _is_tensors(item) for tensor in item.outputs.values())
    json_tensors.require_json(values, is_nested=True)
    documents: list[Any] = []
    for item in predictions:
        deadline.check()
        if item.answers is not None:
            documents += item.answers
        else:
            documents += _values(item) if item.labels is None else map(_label, item.labels)
    return documents


def to_nested(outputs: Outputs) -> dict[str, Any]:
    """Return the values of each output, nested as its shape.

    Raises:
        InvalidTensorError: an output has no JSON form.
        TooLargeError: the outputs have more values than one answer may have.
    """
    json_tensors.require_json(outputs.values(), is_nested=True)
    nested = {}
    for name, tensor in outputs.items():
        deadline.check()
        nested[name] = json_tensors.to_nested(tensor)
    return nested


def bare(values: dict[str, Any]) -> Any:
    """Return the values by name, or the value itself if there is only one name."""
    return next(iter(values.values())) if len(values) == 1 else values


def _decode_parts(reader: Reader, media_type: str, body: bytes) -> Iterator[Rows]:
    """Decode a form: its files, or its fields if it has no file or if the model takes texts."""
    from onnxlet.media import multipart  # few functions are ever sent a form

    parts = [part for part in multipart.parse(media_type, body) if part.body or not part.is_unfilled]
    files = [part for part in parts if not part.is_field or media_types.sniff(part.body)]
    chosen = files if files and not _takes_text(reader.manifest) else parts
    if not chosen:
        raise InvalidRequestError("expected a form with a file, got one without")
    for part in chosen:
        deadline.check()
        yield from _decode_part(reader, part)


def _decode_part(reader: Reader, part: Part) -> Iterator[Rows]:
    """Decode one part of a form; a part without a type is text, which is base64 for a model of images."""
    kind = media_types.kind_of(part.body, part.media_type)
    is_text = media_types.canonical(part.media_type) in media_types.SILENT and not media_types.sniff(part.body)
    if is_text and _takes_text(reader.manifest):
        kind = media_types.TEXT
    elif is_text and part.is_field and reader.manifest.preprocess is not None and kind != media_types.JSON:
        return v1.parse_rows(reader, [part.body.decode("utf-8", "replace").strip()])
    if kind in media_types.SILENT:
        kind = media_types.TEXT  # RFC 2046, section 5.2
    payload = _decode_one(reader, kind, part.body, part.media_type)
    if payload.parameters:
        raise InvalidRequestError("parameters: expected in the query of a form, got them in one of its parts")
    return payload.rows


def _decode_one(reader: Reader, kind: str, body: bytes, media_type: str) -> Payload:
    """Decode a payload that is not a form."""
    if kind in image_headers.FORMATS:
        return Payload(iter([_decode_image(reader, kind, body)]))
    if kind == media_types.WAV:
        return Payload(iter([reader.sound(body)]))
    if kind == media_types.NPY:
        return Payload(reader.array(body))
    if kind == media_types.TEXT and not _takes_text(reader.manifest) and media_types.begins_as_json(body):
        kind = media_types.JSON
    if kind == media_types.JSON:
        return _decode_json(reader, body)
    if reader.manifest.takes() == "table" and kind in TABLES:
        from onnxlet.protocols import tables  # few models take a table

        return Payload(tables.decode(reader.manifest, kind, body, media_type))
    return Payload(_decode_text(reader, kind, body, media_type))


def _decode_json(reader: Reader, body: bytes) -> Payload:
    """Decode JSON: `{"instances": [...], "parameters": {...}}`, a list of instances, or one instance."""
    document = parse_json(body)
    parameters = parse_parameters(document) if isinstance(document, dict) and INSTANCES in document else EMPTY
    if reader.manifest.takes() == "table":
        from onnxlet.protocols import tables  # few models take a table

        return Payload(tables.rows_of(reader.manifest, tables.values_of(reader.manifest, document)), parameters)
    return Payload(v1.parse_rows(reader, _instances(reader.manifest, document)), parameters)


def _decode_text(reader: Reader, kind: str, body: bytes, media_type: str) -> Iterator[Rows]:
    """Decode one text, or JSON Lines; a task of texts takes every payload of which nothing says what it is as a text.

    Raises:
        UnsupportedMediaError: it is something else.
    """
    if kind == media_types.JSON_LINES:
        from onnxlet.media.tables import parse_json_lines  # few clients send them

        return v1.parse_rows(reader, parse_json_lines(body))
    if kind == media_types.TEXT or (kind in media_types.SILENT and reader.manifest.takes() == "text"):
        return iter([_one_text(reader, body, media_type)])
    if kind in media_types.TABLES:
        name = reader.manifest.model
        raise UnsupportedMediaError(f'model "{name}" has no columns: send JSON, or POST /v2/models/{name}/infer')
    raise UnsupportedMediaError(f"expected {', '.join(media_types.MEDIA_TYPES)}, got {kind[:80] or 'no media type'}")


def _decode_image(reader: Reader, kind: str, body: bytes) -> Images:
    if reader.manifest.preprocess is None:
        name, takes = reader.manifest.model, reader.manifest.takes()
        other = (
            f"tensors, not images: POST /v2/models/{name}/infer" if takes == "tensor" else f"a {takes}, not an image"
        )
        raise UnsupportedMediaError(f'model "{name}" takes {other}')
    return reader.image(body, kind, reader.manifest.preprocess)


def _takes_text(manifest: Manifest) -> bool:
    return manifest.takes() == "text" or [spec.datatype.name for spec in manifest.inputs] == ["BYTES"]


def _one_text(reader: Reader, body: bytes, media_type: str) -> Rows:
    """Decode one text, for a task that takes texts or a model whose one input is strings."""
    from onnxlet.media import texts  # most models take something else

    if reader.manifest.takes() == "text":
        return Items([texts.decode(body, media_type)])
    spec = reader.only_input()
    if spec.datatype.name != "BYTES":
        raise UnsupportedMediaError(f'model "{reader.manifest.model}" takes {spec}, not text')
    text = texts.decode(body, media_type)
    shape = tuple(1 if isinstance(size, str) else size for size in spec.shape or ())
    return Batch({spec.name: json_tensors.from_values(spec.name, spec.datatype, shape, [text])}, 1 if shape else None)


def _instances(manifest: Manifest, document: Any) -> list[Any]:
    """Return the instances of a JSON payload."""
    if isinstance(document, dict | str) and not (isinstance(document, dict) and INSTANCES in document):
        return [document]
    if isinstance(document, dict):
        document = document[INSTANCES]
    elif v1.is_one_row(manifest, document):
        return [document]
    if isinstance(document, list):
        return document
    raise InvalidJsonError(f"expected instances, got {json_word(document)}")


def _is_tensors(prediction: Prediction) -> bool:
    """Return whether the values of the outputs are the answer."""
    return prediction.labels is None and prediction.answers is None


def _label(labels: Labels) -> dict[str, Any]:
    """Return the document of one row: its best label, and all labels that were requested."""
    top = [{"label": label, "probability": probability} for label, probability in labels]
    return {**top[0], "top": top}


def _values(prediction: Prediction) -> list[Any]:
    """Return the outputs' values for each row, or all of them as one item if they are not divided into rows."""
    values, rows = to_nested(prediction.outputs), prediction.batch.rows
    if rows is None or any(tensor.shape[:1] != (rows,) for tensor in prediction.outputs.values()):
        return [bare(values)]
    return [bare({name: value[row] for name, value in values.items()}) for row in range(rows)]
