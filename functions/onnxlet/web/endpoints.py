"""The endpoints: the table of all routes, and the answers about the server and its models.

Each protocol is imported by the first request that needs it: a cold start waits for none of them.
"""

from onnxlet.contract import layout
from onnxlet.errors import NotFoundError, OnnxletError
from onnxlet.http import Request, Response, to_json
from onnxlet.web.exchange import Exchange
from onnxlet.web.inference import (
    embeddings,
    explain,
    generate,
    hugging_face,
    infer,
    invoke,
    predict,
    predict_v1,
    rerank,
)
from onnxlet.web.routes import Route

HTML = "text/html"

# ---------------------------------------------------------------------- the server


def home(exchange: Exchange) -> Response:
    """Return that the function runs, as KServe's V1 client asks; a browser gets a page to try the models on."""
    from onnxlet.protocols import v2

    request = exchange.request
    varying = {"vary": "accept"}
    if not is_page(request):
        alive = to_json({"status": "alive", **v2.SERVER_METADATA})
        return Response(alive.status, alive.body, alive.content_type, varying)
    if not request.path:  # the page's links are relative to the base path's folder
        return Response(308, b"", HTML, {**varying, "location": f"{request.base_path}/"})
    page = playground_file(exchange)
    return Response(page.status, page.body, page.content_type, {**page.headers, **varying})


def is_page(request: Request) -> bool:
    """Return whether a request is for the page or the runtime that it runs models with.

    A browser sends no API key with such a request, and the response says nothing about any model.
    """
    path = request.path
    is_home = path in {"", "/"} and HTML in request.headers.get("accept", "")
    return request.method in {"GET", "HEAD"} and (is_home or path.startswith(("/playground/", "/edge/")))


def playground_file(_exchange: Exchange, file: str | None = None) -> Response:
    """Return a file of the page to try the models on."""
    from onnxlet.web import playground  # few requests are for the page

    return playground.serve(file or playground.INDEX)


def server_metadata(exchange: Exchange) -> Response:
    """Return the name, version and extensions of this server."""
    from onnxlet.protocols import v2

    settings = exchange.service.settings
    available = {v2.EDGE: settings.edge, "explain": settings.explain_runs > 0, "generate": settings.generate_length > 0}
    return to_json(v2.server_metadata(available))


def live(_exchange: Exchange) -> Response:
    """Return that the function runs."""
    return to_json(_health(True))


def ready(exchange: Exchange) -> Response:
    """Return whether the default model can answer."""
    try:
        model = exchange.service.settings.model
        if model is not None and exchange.may_use(model):
            exchange.find(None)
    except OnnxletError as error:
        return to_json({**_health(False), "error": error.public, "code": error.code}, 503)
    return to_json(_health(True))


def openapi(exchange: Exchange) -> Response:
    """Return this description of all routes."""
    from onnxlet.web.openapi import describe  # few functions are ever asked

    settings = exchange.service.settings
    document = describe(
        requires_keys=settings.requires_keys,
        base_path=exchange.request.base_path,
        explain_runs=settings.explain_runs,
        generate_length=settings.generate_length,
    )
    return to_json(document)


# ---------------------------------------------------------------------- the models


def models(exchange: Exchange) -> Response:
    """Return the names of all models that the request may name, also in the form that OpenAI's clients read."""
    names = [name for name in exchange.service.traffic.models.registry.models() if exchange.may_use(name)]
    data = [{"id": name, "object": "model", "created": 0, "owned_by": "onnxlet"} for name in names]
    return to_json({"models": names, "object": "list", "data": data})


def model_metadata(exchange: Exchange, model: str, version: str | None = None) -> Response:
    """Return a model's inputs and outputs; `problem` says why another version answers than its alias names."""
    from onnxlet.protocols import v2

    loaded = exchange.find(model, version)
    problem = exchange.service.traffic.problem(loaded)
    document = v2.model_metadata(loaded.manifest)
    return to_json(document if problem is None else {**document, "problem": problem})


def model_manifest(exchange: Exchange, model: str, version: str | None = None) -> Response:
    """Return the manifest of a version without loading the version."""
    return to_json(exchange.manifest(model, version).to_document())


def model_example(exchange: Exchange, model: str, version: str | None = None) -> Response:
    """Return a payload that a version answers; the header `onnxlet-parameters` has the parameters to send with it."""
    manifest = exchange.manifest(model, version)
    example = exchange.service.traffic.models.registry.example(manifest)
    if example is None:
        raise NotFoundError(f'model "{manifest.model}" version {manifest.version} was published without an example')
    parameters = to_json(dict(example.parameters)).body.decode("ascii", "replace")
    return Response(200, example.body, example.media_type, {"onnxlet-parameters": parameters})


def model_graph(exchange: Exchange, model: str, version: str, sha256: str) -> Response:
    """Return a graph of a version for a browser to run, if the operator allows that."""
    from onnxlet.web import edge  # few functions are ever asked

    exchange.require(model)
    return edge.graph(exchange.service, layout.parse_name(model), layout.parse_version(version), sha256)


def edge_file(exchange: Exchange, file: str) -> Response:
    """Return a file of ONNX Runtime's build for browsers, if the operator allows that."""
    from onnxlet.web import edge  # few functions are ever asked

    return edge.runtime_file(exchange.service, file)


def model_ready(exchange: Exchange, model: str, version: str | None = None) -> Response:
    """Load a model and return that it can answer."""
    return to_json({"name": exchange.find(model, version).manifest.model, "ready": True})


def model_config(exchange: Exchange, model: str, version: str | None = None) -> Response:
    """Return a model's configuration in Triton's form."""
    from onnxlet.protocols import triton

    return to_json(triton.model_config(exchange.find(model, version).manifest))


def model_statistics(exchange: Exchange, model: str | None = None, version: str | None = None) -> Response:
    """Return what this process has answered, by model and version, in Triton's form."""
    number = None if version is None else layout.parse_version(version)
    name = None if model is None else layout.parse_name(model.partition("@")[0])
    if name is not None:
        exchange.require(name)
    return to_json(exchange.service.statistics.to_document(name, number, exchange.may_use))


def repository_index(exchange: Exchange) -> Response:
    """Return the models of the registry and their versions in Triton's form."""
    from onnxlet.protocols import triton

    catalogue = exchange.service.traffic.models.registry.catalogue()
    return to_json(triton.repository_index({name: catalogue[name] for name in catalogue if exchange.may_use(name)}))


def model_status(exchange: Exchange, model: str, version: str | None = None) -> Response:
    """Load a model and return that it can answer, in the form of KServe's and TensorFlow Serving's clients."""
    manifest = exchange.find(model, version).manifest
    status = {"error_code": "OK", "error_message": ""}
    versions = [{"version": str(manifest.version), "state": "AVAILABLE", "status": status}]
    openai = {"id": manifest.model, "object": "model", "created": 0, "owned_by": "onnxlet"}
    return to_json({"name": manifest.model, "ready": True, "model_version_status": versions, **openai})


# ---------------------------------------------------------------------- routes

ROUTES = (
    Route("GET", "/", home),
    Route("GET", "/playground/{file}", playground_file),
    Route("GET", "/edge/{file}", edge_file),
    Route("GET", "/openapi.json", openapi),
    Route("GET", "/v2", server_metadata),
    Route("GET", "/v2/health/live", live),
    Route("GET", "/v2/health/ready", ready),
    Route("GET", "/v2/models", models),
    Route("GET", "/v2/models/stats", model_statistics),
    Route("GET", "/v2/models/{model}", model_metadata),
    Route("GET", "/v2/models/{model}/ready", model_ready),
    Route("GET", "/v2/models/{model}/config", model_config),
    Route("GET", "/v2/models/{model}/manifest", model_manifest),
    Route("GET", "/v2/models/{model}/example", model_example),
    Route("GET", "/v2/models/{model}/stats", model_statistics),
    Route("POST", "/v2/models/{model}/infer", infer),
    Route("POST", "/v2/models/{model}/generate", generate),
    Route("POST", "/v2/models/{model}/explain", explain),
    Route("GET", "/v2/models/{model}/versions/{version}", model_metadata),
    Route("GET", "/v2/models/{model}/versions/{version}/ready", model_ready),
    Route("GET", "/v2/models/{model}/versions/{version}/config", model_config),
    Route("GET", "/v2/models/{model}/versions/{version}/manifest", model_manifest),
    Route("GET", "/v2/models/{model}/versions/{version}/example", model_example),
    Route("GET", "/v2/models/{model}/versions/{version}/artifacts/{sha256}", model_graph),
    Route("GET", "/v2/models/{model}/versions/{version}/stats", model_statistics),
    Route("POST", "/v2/models/{model}/versions/{version}/infer", infer),
    Route("POST", "/v2/models/{model}/versions/{version}/generate", generate),
    Route("POST", "/v2/models/{model}/versions/{version}/explain", explain),
    Route("POST", "/v2/repository/index", repository_index),
    Route("GET", "/v1/models", models),
    Route("GET", "/v1/models/{model}", model_status),
    Route("GET", "/v1/models/{model}/versions/{version}", model_status),
    Route("POST", "/v1/models/{model}:predict", predict_v1),
    Route("POST", "/v1/models/{model}/versions/{version}:predict", predict_v1),
    Route("POST", "/models/{model}", hugging_face),
    Route("POST", "/v1/embeddings", embeddings),
    Route("POST", "/v1/rerank", rerank),
    Route("POST", "/predict", predict),
    Route("POST", "/predict/{model}", predict),
    Route("POST", "/predict/{model}/versions/{version}", predict),
    Route("POST", "/invocations", invoke),
    Route("GET", "/ping", ready),
)


def _health(is_well: bool) -> dict[str, bool]:
    """Return both keys: the specification prints `live` for readiness too, KServe's client reads `ready`."""
    return {"live": True, "ready": is_well}
