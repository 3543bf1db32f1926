"""The small models of `tests/data/texts`, opened with a declaration as a function opens them."""

import json
from pathlib import Path
from typing import Any

from onnxlet.contract.declarations import Classification
from onnxlet.contract.manifest import Manifest, Provenance
from onnxlet.contract.tasks.texts import TextTask, Tokenization
from onnxlet.models.model import Model
from onnxlet.session import open_session
from onnxlet.tasks import open_task
from onnxlet.tasks.rows import Items, Prediction
from onnxlet.tasks.task import Parts
from onnxlet.tasks.tokenizer import Tokenizer
from onnxlet_publishing import graphs
from onnxlet_publishing.candidate import Candidate
from onnxlet_publishing.onnx_file import OnnxFile, read_onnx
from onnxlet_publishing.tasks import texts

FOLDER = Path(__file__).parent.parent / "data" / "texts"

BERT = Tokenization({name: name for name in ("input_ids", "attention_mask", "token_type_ids")}, 64)
ROBERTA = Tokenization({name: name for name in ("input_ids", "attention_mask")}, 64, pad_id=1)


def cases(name: str) -> list[dict[str, Any]]:
    """Return the inputs, parameters and answers of the original library."""
    found: list[dict[str, Any]] = json.loads((FOLDER / name / "cases.json").read_text())
    return found


def opened(
    name: str, task: TextTask, classification: Classification | None = None, file: OnnxFile | None = None
) -> Model:
    """Return a small model with a declared task, perhaps with another graph."""
    file = file or read_onnx(FOLDER / name / "model.onnx")
    manifest = Manifest(
        model=name,
        version=1,
        inputs=file.inputs,
        outputs=file.outputs,
        artifacts=(),
        provenance=Provenance("2026-01-01T00:00:00+00:00", "test", "ff"),
        classification=classification,
        task=task,
    )
    if classification is not None:
        data: bytes | None = graphs.postprocess_graph(classification)
    else:
        data = texts.postprocess_graph(task, {spec.name: spec for spec in file.outputs})
    postprocess = None if data is None else open_session(data)
    tokenizer = Tokenizer((FOLDER / name / "tokenizer.json").read_bytes(), task.tokenization)
    opened_task = open_task(manifest, Parts(None, postprocess, tokenizer))
    return Model(manifest, open_session(file.data), None, postprocess, opened_task)


def predictions(model: Model, values: list[Any], parameters: dict[str, Any] | None = None) -> list[Prediction]:
    """Return a prediction for each value, which are rows of one request."""
    return model.predict([Items([value]) for value in values], model.parse_parameters(parameters or {}))


def answers(model: Model, values: list[Any], parameters: dict[str, Any] | None = None) -> list[Any]:
    """Return the task's answer to each value."""
    return [answer for item in predictions(model, values, parameters) for answer in item.answers or []]


def candidate(name: str, task: TextTask, classification: Classification | None = None) -> Candidate:
    """Return a small model with its tokenizer and a declared task, to be published."""
    return Candidate(
        name,
        read_onnx(FOLDER / name / "model.onnx"),
        f"{name}/model.onnx",
        classification=classification,
        task=task,
        tokenizer=(FOLDER / name / "tokenizer.json").read_bytes(),
    )
