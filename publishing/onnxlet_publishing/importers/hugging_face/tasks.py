"""Tasks of Hugging Face's models: what the card, the architecture and the outputs say that a model does."""

from onnxlet_publishing.importers.hugging_face.folder import (
    CARD,
    CONFIG,
    MODULES,
    SENTENCE_CONFIG,
    Folder,
    kind_of_inputs,
)
from onnxlet_publishing.importers.settings import Found
from onnxlet_publishing.onnx_file import OnnxFile

BY_ARCHITECTURE = {
    "ForSequenceClassification": {"text": "text-classification", "sound": "audio-classification"},
    "ForAudioClassification": {"sound": "audio-classification"},
    "ForCTC": {"sound": "automatic-speech-recognition"},
    "ForTokenClassification": {"text": "token-classification"},
    "ForQuestionAnswering": {"text": "question-answering"},
    "ForMaskedLM": {"text": "fill-mask"},
    "ForImageClassification": {"picture": "image-classification"},
    "ForImageClassificationWithTeacher": {"picture": "image-classification"},
    "ForObjectDetection": {"picture": "object-detection"},
    "ForSemanticSegmentation": {"picture": "image-segmentation"},
    "Model": {"text": "feature-extraction", "picture": "image-feature-extraction"},
    "WithProjection": {"text": "feature-extraction", "picture": "image-feature-extraction"},
}
"""The task by the end of the architecture's name, and by what the model takes."""

BY_CARD = {
    "text": (
        *("text-classification", "token-classification", "feature-extraction", "text-ranking", "fill-mask"),
        *("question-answering", "zero-shot-classification"),
    ),
    "picture": ("image-classification", "object-detection", "image-segmentation", "image-feature-extraction"),
    "sound": ("audio-classification", "automatic-speech-recognition"),
}
"""The tasks of a model card that a model of each kind may have."""

VECTORS = (
    "sentence_embedding",
    "last_hidden_state",
    "token_embeddings",
    "pooler_output",
    "image_embeds",
    "text_embeds",
)
"""The outputs of models that make vectors, by the names of transformers and Optimum, the best first."""

FEATURES = {"text": "feature-extraction", "picture": "image-feature-extraction"}
CROSS_ENCODER = "CrossEncoder"
UNNAMED = "LABEL_0"
"""The name that transformers gives to the first class of a model whose classes have none."""

ENTAILMENT = "entail"
"""The beginning of the label of models that tell whether one text follows from another."""
ACTIVATION = "sbert_ce_default_activation_function"
"""The field by which older versions of sentence-transformers mark the configuration of a cross-encoder."""


def find_task(folder: Folder, model: OnnxFile) -> Found | None:
    """Return the task of a model; None if nothing says what it is, or if it is a task that is not served."""
    kind = kind_of_inputs(model)
    if kind is None:
        return None
    vectors = next((name for name in VECTORS if name in {spec.name for spec in model.outputs}), None)
    if "Pooling" in folder.modules:
        return Found("feature-extraction", MODULES)
    if vectors is not None and kind in FEATURES and not _has_answers(model):
        return Found(FEATURES[kind], f'the output "{vectors}"')
    if kind == "text" and is_cross_encoder(folder):
        return Found("text-ranking", SENTENCE_CONFIG if folder.has(SENTENCE_CONFIG) else f"{CONFIG}, one score")
    card = folder.card("pipeline_tag")
    if card in BY_CARD[kind]:
        return Found(card, CARD)
    task = _tasks_of(folder.architecture).get(kind)
    return None if task is None else Found(task, f"{CONFIG}, {folder.architecture}", _words(task, folder))


def _words(task: str, folder: Folder) -> str | None:
    """Return the words for a task whose labels fit another one too, which only the user can choose."""
    labels = (folder.config.get("id2label") or {}).values()
    if task == "text-classification" and any(str(label).lower().startswith(ENTAILMENT) for label in labels):
        return f"{task}; its labels fit zero-shot-classification too"
    return None


def _tasks_of(architecture: str) -> dict[str, str]:
    """Return the tasks of an architecture by what the model takes; an `LMHeadModel` generates texts and has none."""
    if "Head" in architecture:
        return {}
    return next((tasks for end, tasks in BY_ARCHITECTURE.items() if architecture.endswith(end)), {})


def optimum_task(folder: Folder) -> str:
    """Return the name that Optimum has for the task of an architecture; `TASK` for an unknown one."""
    task = next(iter(_tasks_of(folder.architecture).values()), "TASK")
    return {"image-segmentation": "semantic-segmentation", "image-feature-extraction": "feature-extraction"}.get(
        task, task
    )


def is_cross_encoder(folder: Folder) -> bool:
    """Return whether a model gives one score to a pair of texts: a cross-encoder of sentence-transformers, or alike.

    One class without a name is a score too, unless the model was trained for another problem.
    """
    labels = list((folder.config.get("id2label") or {}).values())
    if len(labels) != 1:
        return False
    is_marked = ACTIVATION in folder.config or "sentence_transformers" in folder.config
    is_ranker = labels == [UNNAMED] and folder.config.get("problem_type") is None
    return is_marked or is_ranker or folder.read(SENTENCE_CONFIG).get("model_type") == CROSS_ENCODER


def _has_answers(model: OnnxFile) -> bool:
    """Return whether an output is an answer of a head: logits, or boxes."""
    return any("logits" in spec.name or "boxes" in spec.name for spec in model.outputs)
