"""The endpoints: every route of the HTTP face, and how each is answered."""

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from onnxlet.contract import layout
from onnxlet.contract.generation import TextGeneration
from onnxlet.errors import ForbiddenError, InvalidRequestError, OnnxletError, json_word
from onnxlet.http import HEADER_LENGTH, Request, Response, to_binary, to_json
from onnxlet.limits import MAX_TOP_K
from onnxlet.media import media_types
from onnxlet.models.batches import Batch, run
from onnxlet.models.model import Model
from onnxlet.protocols import generate as generation
from onnxlet.protocols import payloads, triton, v2
from onnxlet.protocols.instances import parse_columns, parse_rows
from onnxlet.web.exchange import Exchange
from onnxlet.web.routes import Route

PNG = "image/png"
HTML = "text/html"
SEED = "onnxlet-seed"

# ---------------------------------------------------------------------- the server


def home(exchange: Exchange) -> Response:
    """Whether the function runs, as KServe's V1 client asks it; for a browser a page to try the models on."""
    request = exchange.request
    varying = {"vary": "accept"}
    if not is_page(request):
        return replace(to_json({"status": "alive", **v2.SERVER_METADATA}), headers=varying)
    if not request.path:  # the page's links are relative to the base path's folder
        return Response(308, b"", HTML, {**varying, "location": f"{request.base_path}/"})
    page = playground_file(exchange)
    return replace(page, headers={**page.headers, **varying})


def is_page(request: Request) -> bool:
    """Whether a request is for the page, or the runtime that it runs models with: they say nothing of any model.

    A browser sends no key with such a request; the page asks for one.
    """
    path = request.path
    is_home = path in {"", "/"} and HTML in request.headers.get("accept", "")
    return request.method in {"GET", "HEAD"} and (is_home or path.startswith(("/playground/", "/edge/")))


def playground_file(_exchange: Exchange, file: str | None = None) -> Response:
    """A file of the page to try the models on."""
    from onnxlet.web import playground  # no request for an answer needs it

    return playground.serve(file or playground.INDEX)


def server_metadata(exchange: Exchange) -> Response:
    """What this server is."""
    settings = exchange.service.settings
    available = {v2.EDGE: settings.edge, "explain": settings.explain_runs > 0, "generate": settings.generate_length > 0}
    return to_json(v2.server_metadata(available))


def live(_exchange: Exchange) -> Response:
    """Whether the function runs: it does, as it answers."""
    return to_json(_health(True))


def ready(exchange: Exchange) -> Response:
    """Whether the default model can answer."""
    try:
        model = exchange.service.settings.model
        if model is not None and exchange.may_use(model):
            exchange.find(None)
    except OnnxletError as error:
        return to_json({**_health(False), "error": error.public, "code": error.code}, 503)
    return to_json(_health(True))


def openapi(exchange: Exchange) -> Response:
    """This description of all routes."""
    from onnxlet.web.openapi import describe  # few functions are ever asked

    settings = exchange.service.settings
    document = describe(
        requires_keys=settings.requires_keys,
        base_path=exchange.request.base_path,
        explain_runs=settings.explain_runs,
        generate_length=settings.generate_length,
    )
    return to_json(document)


# ---------------------------------------------------------------------- what is known of models


def models(exchange: Exchange) -> Response:
    """The names of all models that the request may name."""
    names = exchange.service.traffic.models.registry.models()
    return to_json({"models": [name for name in names if exchange.may_use(name)]})


def model_metadata(exchange: Exchange, model: str, version: str | None = None) -> Response:
    """What a model's tensors are; `problem` says why its alias is not answered as its document says."""
    found = exchange.find(model, version)
    problem = exchange.service.traffic.problem(found)
    document = v2.model_metadata(found.manifest)
    return to_json(document if problem is None else {**document, "problem": problem})


def model_manifest(exchange: Exchange, model: str, version: str | None = None) -> Response:
    """The manifest of a version, which is not loaded for it."""
    return to_json(exchange.manifest(model, version).to_document())


def model_graph(exchange: Exchange, model: str, version: str, sha256: str) -> Response:
    """A graph of a version, for a browser to run it, where the operator allows that."""
    from onnxlet.web import edge  # few functions are ever asked

    exchange.require(model)
    return edge.graph(exchange.service, layout.parse_name(model), layout.parse_version(version), sha256)


def edge_file(exchange: Exchange, file: str) -> Response:
    """A file of ONNX Runtime's build for browsers, where the operator allows that."""
    from onnxlet.web import edge  # few functions are ever asked

    return edge.runtime_file(exchange.service, file)


def model_ready(exchange: Exchange, model: str, version: str | None = None) -> Response:
    """Whether a model can answer."""
    return to_json({"name": exchange.find(model, version).manifest.model, "ready": True})


def model_config(exchange: Exchange, model: str, version: str | None = None) -> Response:
    """A model's configuration, as Triton has it."""
    return to_json(triton.model_config(exchange.find(model, version).manifest))


def model_statistics(exchange: Exchange, model: str | None = None, version: str | None = None) -> Response:
    """What this process has answered, by model and version, as Triton counts it."""
    number = None if version is None else layout.parse_version(version)
    name = None if model is None else layout.parse_name(model.partition("@")[0])
    if name is not None:
        exchange.require(name)
    return to_json(exchange.service.statistics.to_document(name, number, exchange.may_use))


def repository_index(exchange: Exchange) -> Response:
    """The models of the registry and their versions, as Triton lists them."""
    catalogue = exchange.service.traffic.models.registry.catalogue()
    return to_json(triton.repository_index({name: catalogue[name] for name in catalogue if exchange.may_use(name)}))


def model_status(exchange: Exchange, model: str, version: str | None = None) -> Response:
    """Whether a model can answer, as KServe's and as TensorFlow Serving's clients ask it."""
    manifest = exchange.find(model, version).manifest
    status = {"error_code": "OK", "error_message": ""}
    versions = [{"version": str(manifest.version), "state": "AVAILABLE", "status": status}]
    return to_json({"name": manifest.model, "ready": True, "model_version_status": versions})


# ---------------------------------------------------------------------- answers


def infer(exchange: Exchange, model: str | None = None, version: str | None = None) -> Response:
    """Run a model on tensors."""
    request = exchange.request
    header_length = request.headers.get(HEADER_LENGTH)
    if header_length == "0":
        manifest = exchange.find(model, version).manifest
        with exchange.step("decode"):
            question = v2.parse_raw_infer(request.body, manifest)
    else:
        with exchange.step("decode"):
            question = v2.parse_infer(request.body, header_length)
    found = exchange.find(model, version, question.id)
    with exchange.step("run"):
        outputs = found.run(question.inputs, question.output_names())
    exchange.capture(found, [Batch(question.inputs, None)], [outputs])
    with exchange.step("encode"):
        document, buffers = v2.infer_response(found.manifest, question, outputs)
        return to_json(document) if not buffers else to_binary(document, buffers)


def predict_v1(exchange: Exchange, model: str | None = None, version: str | None = None) -> Response:
    """Run a model on instances, row by row or column by column; images get labels, tensors get the outputs' values."""
    with exchange.step("decode"):
        document = v2.parse_object(exchange.request.body)
    found = exchange.find(model, version)
    if document.get("instances") is None and document.get("inputs") is not None:
        return to_json({"outputs": _answer_columns(exchange, found, document["inputs"])})
    with exchange.step("decode"):
        top_k = _parse_top_k(_parameters(document).get("top_k"))
        batches = parse_rows(found, document.get("instances"), exchange.service.references.read)
    return to_json({"predictions": _answer_rows(exchange, found, batches, top_k, only_images=True)})


def predict(exchange: Exchange, model: str | None = None, version: str | None = None) -> Response:
    """Run a model on a payload: an image or several, an array, text, or JSON."""
    found = exchange.find(model, version)
    request = exchange.request
    with exchange.step("decode"):
        top_k = _parse_top_k(request.query.get("top_k"))
        media_type = request.headers.get("content-type", "")
        batches = payloads.decode(found, media_type, request.body, exchange.service.references.read)
    predictions = _answer_rows(exchange, found, batches, top_k)
    return to_json({**signature(found), "predictions": predictions})


def generate(exchange: Exchange, model: str, version: str | None = None) -> Response:
    """Make a text, or images: one PNG where the client accepts that, else JSON."""
    longest = exchange.service.settings.generate_length
    if not longest:
        raise ForbiddenError("this function generates nothing: its ONNXLET_GENERATE_LENGTH is 0")
    with exchange.step("decode"):
        request = generation.parse_generate(v2.parse_object(exchange.request.body), longest)
    found = exchange.find(model, version)
    exchange.charge(generation.count_runs(generation.check_generates(found), request))
    document = {"model_name": found.manifest.model, "model_version": str(found.manifest.version), "seed": request.seed}
    if isinstance(generation.check_generates(found), TextGeneration):
        with exchange.step("run"):
            text = generation.generate_text(found, request)
        return to_json({**document, "text_output": text})
    with exchange.step("run"):
        files = generation.generate_images(found, request)
    if PNG in exchange.request.headers.get("accept", "") and len(files) == 1:
        return Response(200, files[0], PNG, {SEED: str(request.seed)})
    return to_json({**document, "images": [{"b64": b64encode(file).decode()} for file in files]})


def explain(exchange: Exchange, model: str, version: str | None = None) -> Response:
    """Say what of an image, or which numbers of a row, made a classifier answer so; an image also as one PNG."""
    from onnxlet import explain as explanation  # few functions are ever asked

    most_runs = exchange.service.settings.explain_runs
    if not most_runs:
        raise ForbiddenError("this function explains nothing: its ONNXLET_EXPLAIN_RUNS is 0")
    found = exchange.find(model, version)
    request = exchange.request
    with exchange.step("decode"):
        media_type = request.headers.get("content-type", "")
        question = explanation.parse_explain(
            found, request.query, media_type, request.body, exchange.service.references.read, most_runs
        )
    exchange.charge(question.budget_runs)
    with exchange.step("run"):
        answer = explanation.explain(found, question)
    exchange.rows = answer.runs
    if PNG in request.headers.get("accept", "") and answer.overlay is not None:
        return Response(200, answer.overlay, PNG)
    overlay = {} if answer.overlay is None else {"overlay": {"b64": b64encode(answer.overlay).decode()}}
    return to_json({**signature(found), **answer.document, **overlay})


def invoke(exchange: Exchange) -> Response:
    """Answer whatever the body is: a V2 or a V1 request, which may name a `model`, or a payload for the default one.

    What a direct invocation of the Lambda function comes to; the path is that of SageMaker's containers.
    """
    request = exchange.request
    if media_types.kind_of(request.body, request.headers.get("content-type", "")) not in {"", media_types.JSON}:
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


def signature(model: Model) -> dict[str, Any]:
    """Which model answers: a part of every answer, over HTTP and as a result of an event."""
    return {"model": model.manifest.model, "version": model.manifest.version}


# ---------------------------------------------------------------------- routes

ROUTES = (
    Route("GET", "/", home),
    Route("GET", "/playground/{file}", playground_file, gives="File"),
    Route("GET", "/edge/{file}", edge_file, gives="File"),
    Route("GET", "/openapi.json", openapi),
    Route("GET", "/v2", server_metadata, gives="ServerMetadata"),
    Route("GET", "/v2/health/live", live, gives="Health"),
    Route("GET", "/v2/health/ready", ready, gives="Health"),
    Route("GET", "/v2/models", models, gives="Models"),
    Route("GET", "/v2/models/stats", model_statistics, gives="Statistics"),
    Route("GET", "/v2/models/{model}", model_metadata, gives="ModelMetadata"),
    Route("GET", "/v2/models/{model}/ready", model_ready, gives="ModelReady"),
    Route("GET", "/v2/models/{model}/config", model_config),
    Route("GET", "/v2/models/{model}/manifest", model_manifest, gives="Manifest"),
    Route("GET", "/v2/models/{model}/stats", model_statistics, gives="Statistics"),
    Route("POST", "/v2/models/{model}/infer", infer, "InferRequest", "InferResponse"),
    Route("POST", "/v2/models/{model}/generate", generate, "GenerateRequest", "GenerateResponse"),
    Route("POST", "/v2/models/{model}/explain", explain, "ExplainRequest", "Explanation"),
    Route("GET", "/v2/models/{model}/versions/{version}", model_metadata, gives="ModelMetadata"),
    Route("GET", "/v2/models/{model}/versions/{version}/ready", model_ready, gives="ModelReady"),
    Route("GET", "/v2/models/{model}/versions/{version}/config", model_config),
    Route("GET", "/v2/models/{model}/versions/{version}/manifest", model_manifest, gives="Manifest"),
    Route("GET", "/v2/models/{model}/versions/{version}/artifacts/{sha256}", model_graph, gives="File"),
    Route("GET", "/v2/models/{model}/versions/{version}/stats", model_statistics, gives="Statistics"),
    Route("POST", "/v2/models/{model}/versions/{version}/infer", infer, "InferRequest", "InferResponse"),
    Route("POST", "/v2/models/{model}/versions/{version}/generate", generate, "GenerateRequest", "GenerateResponse"),
    Route("POST", "/v2/models/{model}/versions/{version}/explain", explain, "ExplainRequest", "Explanation"),
    Route("POST", "/v2/repository/index", repository_index, gives="RepositoryIndex"),
    Route("GET", "/v1/models", models, gives="Models"),
    Route("GET", "/v1/models/{model}", model_status, gives="ModelStatus"),
    Route("GET", "/v1/models/{model}/versions/{version}", model_status, gives="ModelStatus"),
    Route("POST", "/v1/models/{model}:predict", predict_v1, "PredictRequest", "PredictResponse"),
    Route("POST", "/v1/models/{model}/versions/{version}:predict", predict_v1, "PredictRequest", "PredictResponse"),
    Route("POST", "/predict", predict, "Payload", "Predictions"),
    Route("POST", "/predict/{model}", predict, "Payload", "Predictions"),
    Route("POST", "/predict/{model}/versions/{version}", predict, "Payload", "Predictions"),
    Route("POST", "/invocations", invoke, "Invocation"),
    Route("GET", "/ping", ready, gives="Health"),
)


# ---------------------------------------------------------------------- parts of the above


def _answer_rows(
    exchange: Exchange, model: Model, batches: list[Batch], top_k: int, *, only_images: bool = False
) -> list[Any]:
    exchange.rows = sum(batch.rows or 1 for batch in batches)
    with exchange.step("run"):
        outputs = run(model, batches)
    exchange.capture(model, batches, outputs)
    with exchange.step("encode"):
        return payloads.encode(model, batches, outputs, top_k, only_images=only_images)


def _answer_columns(exchange: Exchange, model: Model, inputs: object) -> Any:
    with exchange.step("decode"):
        batch = parse_columns(model, inputs)
    with exchange.step("run"):
        (outputs,) = run(model, [batch])
    exchange.capture(model, [batch], [outputs])
    with exchange.step("encode"):
        return payloads.bare(payloads.to_nested(outputs))


def _health(is_well: bool) -> dict[str, bool]:
    """Both keys: the specification prints `live` for readiness too, KServe's client reads `ready`."""
    return {"live": True, "ready": is_well}


def _parameters(document: Mapping[str, Any]) -> dict[str, Any]:
    parameters = document.get("parameters")
    if not isinstance(parameters, dict | None):
        raise InvalidRequestError(f"parameters: expected an object, got {json_word(parameters)}")
    return parameters or {}


def _parse_top_k(value: object) -> int:
    """The number of labels that a request wants, as JSON or a query has it."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = str(payloads.DEFAULT_TOP_K if value is None else value)
    if not text.isascii() or not text.isdigit() or len(text) > 9 or not 0 < int(text) <= MAX_TOP_K:
        raise InvalidRequestError(f"top_k: expected a number from 1 to {MAX_TOP_K}, got {text[:80]!r}")
    return int(text)
