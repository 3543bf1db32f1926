"""The endpoints that run a model: decode, run, encode.

Each protocol is imported by the first request that needs it: a cold start waits for none of them.
"""

from base64 import b64encode
from collections.abc import Iterable, Iterator

from onnxlet.contract.generation import TextGeneration
from onnxlet.errors import ForbiddenError, InvalidRequestError, json_word
from onnxlet.http import Response, to_json
from onnxlet.models.model import Model
from onnxlet.tasks.rows import Batch, Parameters, Prediction, Rows
from onnxlet.web.exchange import Exchange

BINARY = "application/octet-stream"
PNG = "image/png"
SEED = "onnxlet-seed"


def infer(exchange: Exchange, model: str | None = None, version: str | None = None) -> Response:
    """Run a model on tensors."""
    from onnxlet.protocols import v2

    request = exchange.request
    header_length = request.headers.get(v2.HEADER_LENGTH)
    if header_length == "0":
        manifest = exchange.find(model, version).manifest
        with exchange.step("decode"):
            question = v2.parse_raw_infer(request.body, manifest)
    else:
        with exchange.step("decode"):
            question = v2.parse_infer(request.body, header_length)
    loaded = exchange.find(model, version, question.id)
    with exchange.step("run"):
        outputs = loaded.run(question.inputs, question.output_names())
    exchange.capture(loaded, [Batch(question.inputs, None)], [outputs])
    with exchange.step("encode"):
        document, buffers = v2.infer_response(loaded.manifest, question, outputs)
        response = to_json(document)
        if not buffers:
            return response
        header_length = str(len(response.body))
        return Response(200, b"".join((response.body, *buffers)), BINARY, {v2.HEADER_LENGTH: header_length})


def predict_v1(exchange: Exchange, model: str | None = None, version: str | None = None) -> Response:
    """Run a model on instances, row by row or column by column. Images get labels, tensors the outputs' values."""
    from onnxlet.protocols import payloads, v1, v2
    from onnxlet.protocols.parameters import parse_parameters
    from onnxlet.protocols.reader import Reader

    with exchange.step("decode"):
        document = v2.parse_object(exchange.request.body)
    loaded = exchange.find(model, version)
    if document.get("instances") is None and document.get("inputs") is not None:
        with exchange.step("decode"):
            columns = v1.parse_columns(loaded.manifest, document["inputs"])
        with exchange.step("run"):
            (outputs,) = loaded.run_all([columns])
        exchange.capture(loaded, [columns], [outputs])
        with exchange.step("encode"):
            return to_json({"outputs": payloads.bare(payloads.to_nested(outputs))})
    with exchange.step("decode"):
        parameters = loaded.parse_parameters(parse_parameters(document))
        rows = v1.parse_rows(Reader(loaded.manifest, exchange.service.allowed_objects.read), document.get("instances"))
    predictions = _run(exchange, loaded, rows, parameters, only_images=True)
    with exchange.step("encode"):
        return to_json({"predictions": payloads.encode(predictions)})


def predict(exchange: Exchange, model: str | None = None, version: str | None = None) -> Response:
    """Run a model on a payload: one image or several, an array, text, or JSON; masks of one image also as one PNG."""
    from onnxlet.protocols import payloads
    from onnxlet.protocols.reader import Reader

    loaded = exchange.find(model, version)
    request = exchange.request
    with exchange.step("decode"):
        reader = Reader(loaded.manifest, exchange.service.allowed_objects.read)
        payload = payloads.decode(reader, request.headers.get("content-type", ""), request.body)
        parameters = loaded.parse_parameters(payload.parameters, request.query)
    predictions = _run(exchange, loaded, payload.rows, parameters)
    if PNG in request.headers.get("accept", "") and len(predictions) == 1 and predictions[0].picture is not None:
        return Response(200, predictions[0].picture, PNG)
    with exchange.step("encode"):
        return to_json({**loaded.identity(), "predictions": payloads.encode(predictions)})


def generate(exchange: Exchange, model: str, version: str | None = None) -> Response:
    """Generate a text, or images: one PNG if the client accepts that, else JSON."""
    from onnxlet.models import generation
    from onnxlet.protocols import generate as protocol
    from onnxlet.protocols import v2

    longest = exchange.service.settings.generate_length
    if not longest:
        raise ForbiddenError("this function generates nothing: its ONNXLET_GENERATE_LENGTH is 0")
    with exchange.step("decode"):
        request = protocol.parse_generate(v2.parse_object(exchange.request.body), longest)
    loaded = exchange.find(model, version)
    declaration = generation.declaration_of(loaded)
    exchange.charge(generation.count_runs(declaration, request))
    if isinstance(declaration, TextGeneration):
        with exchange.step("run"):
            text = generation.generate_text(loaded, request)
        return to_json(protocol.text_response(loaded.manifest, request, text))
    files = []
    for pixels in exchange.timed("run", generation.generate_images(loaded, request)):
        with exchange.step("encode"):
            files += protocol.encode_images(pixels)
    if PNG in exchange.request.headers.get("accept", "") and len(files) == 1:
        return Response(200, files[0], PNG, {SEED: str(request.seed)})
    with exchange.step("encode"):
        return to_json(protocol.images_response(loaded.manifest, request, files))


def explain(exchange: Exchange, model: str, version: str | None = None) -> Response:
    """Explain which pixels, values or words made a classifier answer as it did; an image's also as one PNG."""
    from onnxlet import explain as explanations
    from onnxlet.protocols.reader import Reader

    most_runs = exchange.service.settings.explain_runs
    if not most_runs:
        raise ForbiddenError("this function explains nothing: its ONNXLET_EXPLAIN_RUNS is 0")
    loaded = exchange.find(model, version)
    request = exchange.request
    with exchange.step("decode"):
        reader = Reader(loaded.manifest, exchange.service.allowed_objects.read, keeps_size=True)
        media_type = request.headers.get("content-type", "")
        question = explanations.parse_explain(reader, request.query, media_type, request.body, most_runs)
    exchange.charge(question.budget_runs)
    with exchange.step("run"):
        explanation = explanations.explain(loaded, question)
    exchange.rows = explanation.runs
    with exchange.step("encode"):
        overlay = explanation.overlay()
        if PNG in request.headers.get("accept", "") and overlay is not None:
            return Response(200, overlay, PNG)
        picture = {} if overlay is None else {"overlay": {"b64": b64encode(overlay).decode()}}
        return to_json({**loaded.identity(), **explanation.to_document(), **picture})


def invoke(exchange: Exchange) -> Response:
    """Answer whatever the body is: a V2 or a V1 request, which may name a `model`, or a payload for the default one.

    Direct invocations of the Lambda function come here. The path is that of SageMaker's containers.
    """
    from onnxlet.protocols import payloads, v2

    request = exchange.request
    if not payloads.may_be_json(request.headers.get("content-type", ""), request.body):
        return predict(exchange)
    document = v2.parse_object(exchange.request.body)
    model = document.get("model")
    if not isinstance(model, str | None):
        raise InvalidRequestError(f"model: expected a name, got {json_word(model)}")
    document = {name: value for name, value in document.items() if value is not None}
    if "instances" in document:
        return predict_v1(exchange, model)
    if "inputs" not in document:
        raise InvalidRequestError(f"expected inputs or instances, got {', '.join(document)[:200] or 'nothing'}")
    inputs = document["inputs"]
    is_v2 = isinstance(inputs, list) and all(isinstance(item, dict) and "datatype" in item for item in inputs)
    return infer(exchange, model) if is_v2 else predict_v1(exchange, model)


def hugging_face(exchange: Exchange, model: str) -> Response:
    """Answer what the model's task takes, as Hugging Face's `InferenceClient` sends it."""
    from onnxlet.protocols import hugging_face as protocol
    from onnxlet.protocols.reader import Reader

    loaded = exchange.find(model)
    request = exchange.request
    with exchange.step("decode"):
        reader = Reader(loaded.manifest, exchange.service.allowed_objects.read)
        media_type = request.headers.get("content-type", "")
        question = protocol.parse(reader, media_type, request.body, request.query)
        parameters = loaded.parse_parameters(question.parameters)
    predictions = _run(exchange, loaded, question.rows, parameters)
    with exchange.step("encode"):
        return to_json(protocol.encode(loaded.manifest, predictions, question))


def embeddings(exchange: Exchange) -> Response:
    """Turn texts into vectors, as OpenAI's clients ask for them."""
    from onnxlet.protocols import openai, v2

    with exchange.step("decode"):
        request = openai.parse_embeddings(v2.parse_object(exchange.request.body))
    loaded = exchange.find(request.model)
    openai.require_task(loaded.manifest, *openai.FEATURE_TASKS)
    predictions = _run(exchange, loaded, request.items.each(), loaded.parse_parameters(request.parameters))
    with exchange.step("encode"):
        return to_json(openai.embeddings_response(loaded.manifest, request, predictions))


def rerank(exchange: Exchange) -> Response:
    """Rank documents by a query, with a cross-encoder or by the similarity of vectors."""
    from onnxlet.protocols import openai, v2

    with exchange.step("decode"):
        request = openai.parse_rerank(v2.parse_object(exchange.request.body))
    loaded = exchange.find(request.model)
    openai.require_task(loaded.manifest, *openai.RANKING_TASKS)
    items = request.items(loaded.manifest)
    predictions = _run(exchange, loaded, [items], loaded.parse_parameters(request.parameters))
    with exchange.step("encode"):
        return to_json(openai.rerank_response(request, predictions))


def _run(
    exchange: Exchange, model: Model, rows: Iterable[Rows], parameters: Parameters, *, only_images: bool = False
) -> list[Prediction]:
    """Run a model on rows, each of which is decoded when the model is ready to prepare it."""
    with exchange.step("run"):
        predictions = model.predict(_decoded(exchange, rows), parameters, only_images=only_images)
    truncated = sum(item.truncated for item in predictions)
    if truncated:
        exchange.headers["onnxlet-truncated"] = str(truncated)
    exchange.capture(model, [item.batch for item in predictions], [item.outputs for item in predictions])
    return predictions


def _decoded(exchange: Exchange, rows: Iterable[Rows]) -> Iterator[Rows]:
    """Pass rows on and count them."""
    count = 0
    for item in exchange.timed("decode", rows):
        count += item.rows or 1
        yield item
    exchange.rows = count
