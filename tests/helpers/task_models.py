"""One small model of each task, ready to publish."""

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper

from onnxlet.contract.declarations import Classification, ImagePreprocess
from onnxlet.contract.tasks.declaration import Declaration
from onnxlet.contract.tasks.pictures import ImageFeatures, ImageSegmentation, ObjectDetection
from onnxlet.contract.tasks.texts import (
    FeatureExtraction,
    FillMask,
    QuestionAnswering,
    TextClassification,
    TextRanking,
    TokenClassification,
    ZeroShotClassification,
)
from onnxlet_publishing.candidate import Candidate
from onnxlet_publishing.onnx_file import read_onnx
from tests.helpers import graphs, picture_models, picture_outputs, sounds, tables
from tests.helpers.picture_outputs import SIDE, Floats
from tests.helpers.text_models import BERT, FOLDER
from tests.helpers.text_references import ENTITIES, MOODS, NLI

FIT = ImagePreprocess(SIDE, SIDE, 3, layout="NCHW", fit="letterbox")

PICTURE_TASKS = (picture_models.DETECTION, picture_models.SEGMENTATION, picture_models.FEATURES)

TEXT_TASKS: dict[str, tuple[Declaration, Classification | None]] = {
    "text-classification": (TextClassification("text-classification", BERT), Classification(MOODS, "softmax")),
    "token-classification": (TokenClassification("token-classification", BERT, "logits", ENTITIES), None),
    "feature-extraction": (
        FeatureExtraction("feature-extraction", BERT, "last_hidden_state", pooling="mean", normalize=True),
        None,
    ),
    "text-ranking": (TextRanking("text-ranking", BERT, "logits", activation="sigmoid"), None),
    "fill-mask": (FillMask("fill-mask", BERT, "logits", "[MASK]"), None),
    "question-answering": (QuestionAnswering("question-answering", BERT, "start_logits", "end_logits", "[CLS]"), None),
    "zero-shot-classification": (
        ZeroShotClassification("zero-shot-classification", BERT, "logits", NLI.index("entailment")),
        None,
    ),
}
"""The declarations of the small models in `tests/data/texts`."""


def text_candidate(task: str) -> Candidate:
    """Return the small model of a task of texts."""
    declaration, classification = TEXT_TASKS[task]
    return Candidate(
        name=task,
        model=read_onnx(FOLDER / task / "model.onnx"),
        source="model.onnx",
        classification=classification,
        task=declaration,
        tokenizer=(FOLDER / task / "tokenizer.json").read_bytes(),
    )


def picture_candidates() -> list[Candidate]:
    """Return a detector, a segmenter and a model of vectors, which see the same in every picture."""
    labels = ("cat", "dog", "bird")
    return [
        _candidate(
            ObjectDetection("object-detection", ("first",), "yolov8", labels), [picture_outputs.yolov8(60, len(labels))]
        ),
        _candidate(
            ImageSegmentation("image-segmentation", ("first",), "classes", labels),
            [picture_outputs.logits(len(labels), SIDE // 4)],
        ),
        _candidate(
            ImageFeatures("image-feature-extraction", ("first",), normalize=True),
            [np.arange(1, 9, dtype=np.float32)[None]],
        ),
    ]


def candidates() -> list[Candidate]:
    """Return a model of each task."""
    return [
        graphs.digits_candidate(),
        *map(text_candidate, TEXT_TASKS),
        *(picture_models.candidate(task, task.name) for task in PICTURE_TASKS),
        tables.sums_candidate(),
        tables.choices_candidate(),
        sounds.loudness_candidate(),
        sounds.speech_candidate(),
        sounds.spelling_candidate(),
    ]


def _candidate(task: Declaration, outputs: Sequence[Floats]) -> Candidate:
    return Candidate(task.name, graphs.to_file(_constant(outputs)), f"{task.name}.onnx", preprocess=FIT, task=task)


def _constant(outputs: Sequence[Floats]) -> onnx.ModelProto:
    """Return a model of pictures that always gives these outputs."""
    names = [name for name, _ in zip(("first", "second"), outputs, strict=False)]
    nodes = [helper.make_node("ReduceMax", ["images"], ["largest"], keepdims=0)]
    nodes.append(helper.make_node("Sub", ["largest", "largest"], ["nothing"]))
    nodes += [helper.make_node("Add", [f"{name}/kept", "nothing"], [name]) for name in names]
    weights = {f"{name}/kept": output for name, output in zip(names, outputs, strict=True)}
    results = [(name, TensorProto.FLOAT, output.shape) for name, output in zip(names, outputs, strict=True)]
    return graphs.model(nodes, [("images", TensorProto.FLOAT, [1, 3, SIDE, SIDE])], results, weights)
