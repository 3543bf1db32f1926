"""OpenAI's embeddings and the rerank protocol of Jina and Cohere: vectors of texts, and texts ranked by a query.

Source: OpenAI API reference, "Create embeddings"; Jina AI and Cohere, "Rerank".
"""

from __future__ import annotations

from array import array
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from onnxlet.errors import InvalidRequestError, UnsupportedMediaError, json_shown, json_word
from onnxlet.limits import MAX_CANDIDATES, MAX_INSTANCES
from onnxlet.record import Record
from onnxlet.tasks import parameters
from onnxlet.tasks.rows import Items, Prediction

if TYPE_CHECKING:
    from onnxlet.contract.manifest import Manifest

FEATURE_TASKS = ("feature-extraction", "sentence-similarity")
RANKING_TASKS = ("text-ranking", *FEATURE_TASKS)


class EmbeddingsRequest(Record):
    """Texts to turn into vectors."""

    model: str
    items: Items
    is_base64: bool
    """Whether a vector is the base64 of its FP32 numbers, little-endian, and not a list."""
    parameters: Mapping[str, object]


class RerankRequest(Record):
    """Documents to rank by a query."""

    model: str
    query: str
    documents: Sequence[str]
    top_n: int
    returns_documents: bool
    parameters: Mapping[str, object]

    def items(self, manifest: Manifest) -> Items:
        """Return the request in the form of the model's task: pairs for a cross-encoder, sentences for vectors."""
        if manifest.task_name() == "text-ranking":
            return Items([{"query": self.query, "texts": self.documents}])
        return Items([{"source_sentence": self.query, "sentences": self.documents}])


def require_task(manifest: Manifest, *tasks: str) -> None:
    """Refuse a model of another task.

    Raises:
        UnsupportedMediaError: the model's task is not one of `tasks`.
    """
    if manifest.task_name() not in tasks:
        raise UnsupportedMediaError(
            f'model "{manifest.model}": expected the task {" or ".join(tasks)}, got {manifest.task_name() or "tensors"}'
        )


def parse_embeddings(document: Mapping[str, Any]) -> EmbeddingsRequest:
    """Read a request for embeddings. Fields that OpenAI does not have are the task's own parameters.

    Raises:
        InvalidRequestError: a field is missing or malformed.
    """
    fields = {name: value for name, value in document.items() if value is not None}
    model = _text(fields, "model")
    encoding = parameters.choice("float", "base64")("encoding_format", fields.pop("encoding_format", "float"))
    fields.pop("user", None)
    return EmbeddingsRequest(model, Items(_inputs(fields.pop("input", None))), encoding == "base64", fields)


def embeddings_response(manifest: Manifest, request: EmbeddingsRequest, predictions: Sequence[Prediction]) -> Any:
    """Return the document with a vector for each text.

    Raises:
        UnsupportedMediaError: the model gives a vector for each token, not for each text.
    """
    from onnxlet.tasks.feature_extraction import require_one_vector  # the model's task has imported it

    vectors = [vector for prediction in predictions for vector in prediction.answers or ()]
    for vector in vectors:
        require_one_vector(manifest.model, vector)
    data = [
        {"object": "embedding", "index": index, "embedding": _base64(vector) if request.is_base64 else vector}
        for index, vector in enumerate(vectors)
    ]
    return {"object": "list", "data": data, "model": request.model, "usage": _usage(predictions)}


def parse_rerank(document: Mapping[str, Any]) -> RerankRequest:
    """Read a request for a ranking. Fields that the protocol does not have are the task's own parameters.

    Raises:
        InvalidRequestError: a field is missing or malformed.
    """
    fields = {name: value for name, value in document.items() if value is not None}
    model, query = _text(fields, "model"), _text(fields, "query")
    documents = fields.pop("documents", None)
    if not isinstance(documents, list) or not 0 < len(documents) <= MAX_CANDIDATES:
        got = len(documents) if isinstance(documents, list) else json_word(documents)
        raise InvalidRequestError(f"documents: expected a list of 1 to {MAX_CANDIDATES} texts, got {got}")
    texts = [_document(item, index) for index, item in enumerate(documents)]
    top_n = parameters.integer(1, MAX_CANDIDATES)("top_n", fields.pop("top_n", len(texts)))
    returns = parameters.flag("return_documents", fields.pop("return_documents", False))
    return RerankRequest(model, query, texts, top_n, returns, fields)


def rerank_response(request: RerankRequest, predictions: Sequence[Prediction]) -> Any:
    """Return the document with the documents' positions and scores, the best first."""
    (answer,) = predictions[0].answers or ([],)
    scores = {entry["index"]: entry["score"] for entry in answer} if _is_ranking(answer) else dict(enumerate(answer))
    best = sorted(scores, key=lambda index: (-scores[index], index))[: request.top_n]
    results = [{"index": index, "relevance_score": scores[index]} for index in best]
    if request.returns_documents:
        results = [{**result, "document": {"text": request.documents[result["index"]]}} for result in results]
    return {"object": "list", "model": request.model, "results": results, "usage": _usage(predictions)}


def _is_ranking(answer: Sequence[Any]) -> bool:
    return bool(answer) and isinstance(answer[0], dict)


def _text(fields: dict[str, Any], name: str) -> str:
    """Remove a field that must be a text, and return it."""
    value = fields.pop(name, None)
    if not isinstance(value, str) or not value:
        raise InvalidRequestError(f"{name}: expected a text, got {json_shown(value)}")
    return value


def _document(item: object, index: int) -> str:
    """Return the text of a document, which may be an object with a `text`."""
    text = item.get("text") if isinstance(item, dict) else item
    if not isinstance(text, str):
        raise InvalidRequestError(f"documents[{index}]: expected a text, got {json_word(text)}")
    return text


def _inputs(value: object) -> list[Any]:
    """Return a request's texts or lists of tokens, one for each vector."""
    is_one = isinstance(value, str) or (isinstance(value, list) and bool(value) and type(value[0]) is int)
    values = [value] if is_one else value
    if not isinstance(values, list) or not 0 < len(values) <= MAX_INSTANCES:
        got = len(values) if isinstance(values, list) else json_word(values)
        raise InvalidRequestError(f"input: expected a text, or a list of 1 to {MAX_INSTANCES}, got {got}")
    if "" in values:
        raise InvalidRequestError("input: expected texts of at least one character, got an empty one")
    return values


def _base64(vector: Sequence[float]) -> str:
    return b64encode(array("f", vector).tobytes()).decode()


def _usage(predictions: Sequence[Prediction]) -> dict[str, int]:
    """Return the number of tokens that the model read."""
    tokens = sum(len(encoding) for prediction in predictions for encoding in prediction.batch.context.encodings)
    return {"prompt_tokens": tokens, "total_tokens": tokens}
