"""Hugging Face's inference protocol: `{"inputs": ..., "parameters": {...}}`, or the bytes of a picture or a sound.

Source: huggingface.js, `packages/tasks` (the JSON schema of each task); huggingface_hub, `InferenceClient`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from onnxlet.errors import InvalidRequestError, UnsupportedMediaError, json_word
from onnxlet.media.json_body import parse_json
from onnxlet.protocols import payloads, tables, v1
from onnxlet.protocols.parameters import parse_parameters
from onnxlet.record import Record
from onnxlet.tasks.rows import Prediction, Rows

if TYPE_CHECKING:
    from onnxlet.contract.manifest import Manifest
    from onnxlet.protocols.reader import Reader

INPUTS, PARAMETERS, OPTIONS, TABLE = "inputs", "parameters", "options", "table"

UNSERVED = {None, "text-generation", "unconditional-image-generation"}
"""The tasks of models that this protocol does not serve."""


class Question(Record):
    """The rows that a client sends to a task, with its parameters."""

    rows: Iterator[Rows]
    parameters: Mapping[str, object]
    is_list: bool
    """Whether the client sent a list of inputs, and expects a list of answers."""


def parse(reader: Reader, media_type: str, body: bytes, query: Mapping[str, str]) -> Question:
    """Read a request.

    Args:
        reader: The reader for the model.
        media_type: The declared type of the body.
        body: A JSON object, or a payload as `payloads.decode` takes it.
        query: The parameters of a payload that is not JSON.

    Raises:
        UnsupportedMediaError: the model serves no task, or no payload of this kind.
        InvalidRequestError: the JSON is not an object with `inputs`.
    """
    manifest = reader.manifest
    if manifest.task_name() in UNSERVED:
        task = manifest.task_name() or "tensors"
        raise UnsupportedMediaError(f'model "{manifest.model}" serves {task}: POST to its routes under /v2/models')
    if not payloads.may_be_json(media_type, body):
        return Question(payloads.decode(reader, media_type, body).rows, query, is_list=False)
    document = parse_json(body)
    if not isinstance(document, dict):
        raise InvalidRequestError(f"expected an object with {INPUTS}, got {json_word(document)}")
    others = {name: document[name] for name in document if name not in {INPUTS, PARAMETERS, OPTIONS, TABLE}}
    inputs = _inputs(document)
    values = inputs if isinstance(inputs, list) else [inputs]
    rows = v1.parse_rows(reader, values)
    return Question(rows, {**others, **parse_parameters(document)}, isinstance(inputs, list))


def encode(manifest: Manifest, predictions: list[Prediction], question: Question) -> Any:
    """Return the answer: one document, or a list of them if the client sent a list."""
    task = manifest.task_name()
    answers = [answer for prediction in predictions for answer in _answers(prediction, task)]
    # The pipeline of text-classification gives a list of lists even for one text, and a table is always a list.
    is_list = question.is_list or len(answers) != 1 or task in {"text-classification", "tabular-classification"}
    return answers if is_list else answers[0]


def _inputs(document: Mapping[str, Any]) -> Any:
    """Return what a request asks about; a table becomes a list of its rows."""
    if document.get(TABLE) is not None:
        return tables.rows_of_columns(document[TABLE])
    inputs = document.get(INPUTS)
    if inputs is None or inputs == []:
        raise InvalidRequestError(f"expected {INPUTS}, got {', '.join(document)[:200] or 'nothing'}")
    if isinstance(inputs, dict) and inputs.keys() == {"data"} and isinstance(inputs["data"], dict):
        return tables.rows_of_columns(inputs["data"])
    return inputs


def _answers(prediction: Prediction, task: str | None) -> list[Any]:
    """Return a document for each row of a prediction."""
    if prediction.labels is None:
        return payloads.encode([prediction])
    if task == "tabular-classification":
        return [labels[0][0] for labels in prediction.labels]
    return [[{"label": label, "score": score} for label, score in labels] for labels in prediction.labels]
