"""Examples: a payload in the form that a person has, for a model whose user gives none."""

import json
import struct
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from io import BytesIO
from math import pi, sin
from typing import Any

import orjson
from PIL import Image, ImageDraw

from onnxlet.contract import json_tensors
from onnxlet.contract.example import Example
from onnxlet.contract.manifest import Manifest
from onnxlet.contract.tasks.tables import TableTask
from onnxlet.contract.tensors import Tensor
from onnxlet.errors import OnnxletError
from onnxlet.models.model import Model
from onnxlet.protocols import payloads
from onnxlet.protocols.reader import Reader
from onnxlet_publishing.candidate import Candidate
from onnxlet_publishing.errors import ModelError
from onnxlet_publishing.tasks.tables import sample_rows

SENTENCE = "The weather is lovely today in Paris, said Anna."

TEXTS: dict[str, Any] = {
    "sentence-similarity": {"source_sentence": "It is sunny.", "sentences": ["The sun shines.", "I like trains."]},
    "text-ranking": {
        "query": "How many people live in Berlin?",
        "texts": ["Berlin has 3.7 million inhabitants.", "Berlin is famous for its museums."],
    },
    "question-answering": {"question": "Where does Anna live?", "context": "My name is Anna and I live in Paris."},
}
"""The examples of tasks that take more than one text."""

LABELS = {"candidate_labels": ["weather", "sports", "politics"]}

TONE_HERTZ, RATE = 440, 16_000


def with_example(
    candidate: Candidate, model: Model, probed: Mapping[str, Tensor] | None
) -> tuple[Candidate, Mapping[str, Tensor] | None]:
    """Return the candidate with an example that the model answers, and the model's inputs for it.

    Args:
        candidate: The candidate, perhaps with the user's own example.
        model: The loaded model.
        probed: Sample inputs that the model runs on; None if it runs on no sample inputs.

    Raises:
        ModelError: The model does not answer the user's example, or the one that fits its task.
    """
    if candidate.crashes:
        return candidate, None
    if candidate.example is None and isinstance(candidate.task, TableTask):
        return _with_row(candidate, candidate.task, model, probed)
    example = candidate.example or default_example(model.manifest)
    if example is None:
        return candidate, None
    try:
        return replace(candidate, example=example), _inputs_for(example, model)
    except OnnxletError as error:
        if candidate.example is None and model.manifest.takes() == "tensor":
            return candidate, None  # it takes other strings than sentences
        raise ModelError(f"{candidate.source}: does not answer its example ({example.media_type}): {error}") from error


def _with_row(
    candidate: Candidate, task: TableTask, model: Model, probed: Mapping[str, Tensor] | None
) -> tuple[Candidate, Mapping[str, Tensor] | None]:
    """Return the candidate with the first row that the model answers; an encoder may refuse values that it lacks."""
    rows = [*sample_rows(task, candidate.model), *([] if probed is None else [_row(task, probed)])]
    for row in rows:
        example = Example("application/json", orjson.dumps(row))
        with suppress(OnnxletError):
            return replace(candidate, example=example), _inputs_for(example, model)
    return candidate, None


def _inputs_for(example: Example, model: Model) -> Mapping[str, Tensor]:
    """Return the model's inputs for an example that it answers."""
    rows = payloads.decode(Reader(model.manifest), example.media_type, example.body).rows
    first, *_ = model.predict(rows, model.parse_parameters(example.parameters))
    return first.batch.inputs


def default_example(manifest: Manifest) -> Example | None:
    """Return a payload that fits what a version takes; None for a version of tensors or tables."""
    takes, task = manifest.takes(), manifest.task_name()
    if takes == "picture":
        return Example("image/png", _picture())
    if takes == "sound":
        return Example("audio/wav", _tone())
    if takes == "text" or task == "text-classification":  # whose model may take texts without a tokenizer
        return _text(task or "", getattr(manifest.task, "mask_token", ""))
    return None


def _row(task: TableTask, inputs: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return the first row of sample inputs by column; JSON has null for NaN."""
    values = {name: json_tensors.to_values(tensor) for name, tensor in inputs.items()}
    places = Counter[str]()
    row = {}
    for column in task.columns:
        row[column.name] = values[column.input][places[column.input]]
        places[column.input] += 1
    return row


def _text(task: str, mask: str) -> Example:
    if task in TEXTS:
        return Example("application/json", json.dumps(TEXTS[task]).encode())
    text = f"Paris is the {mask} of France." if task == "fill-mask" else SENTENCE
    return Example("text/plain", text.encode(), LABELS if task == "zero-shot-classification" else {})


def _picture() -> bytes:
    """Return a drawn landscape: a sky, a hill and a sun."""
    picture = Image.linear_gradient("L").resize((320, 240))
    bands = (picture, picture.point(lambda value: 100 + value // 2), Image.new("L", picture.size, 235))
    picture = Image.merge("RGB", bands)
    draw = ImageDraw.Draw(picture)
    draw.ellipse((220, 30, 270, 80), fill=(255, 214, 64))
    draw.ellipse((-80, 150, 260, 420), fill=(70, 140, 60))
    draw.rectangle((90, 110, 150, 170), fill=(180, 70, 50))
    file = BytesIO()
    picture.save(file, "PNG", optimize=True)
    return file.getvalue()


def _tone() -> bytes:
    """Return a WAV file with one second of a tone."""
    samples = b"".join(
        struct.pack("<h", round(12_000 * sin(2 * pi * TONE_HERTZ * index / RATE))) for index in range(RATE)
    )
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, RATE, 2 * RATE, 2, 16)
    data = struct.pack("<4sI", b"data", len(samples)) + samples
    return struct.pack("<4sI4s", b"RIFF", 4 + len(form) + len(data), b"WAVE") + form + data
