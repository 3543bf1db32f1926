"""One small model of each task, ready to publish."""

from onnxlet.contract.declarations import Classification
from onnxlet.contract.tasks.declaration import Declaration
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
from tests.helpers import graphs, picture_models, sounds, tables
from tests.helpers.text_models import BERT, FOLDER
from tests.helpers.text_references import ENTITIES, MOODS, NLI

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
    ]
