"""The edge: what a browser fetches to run a version itself, the version's graphs and a runtime for them."""

from onnxlet.contract import layout
from onnxlet.contract.artifact import GRAPH_ROLES, ONNX
from onnxlet.errors import ForbiddenError, NotFoundError, ObjectNotFoundError
from onnxlet.http import Response
from onnxlet.service import Service

MEDIA_TYPES = {"mjs": "text/javascript; charset=utf-8", "wasm": "application/wasm"}

FOR_EVER = {"cache-control": "private, max-age=31536000, immutable"}
"""What is found by its SHA-256 never changes."""

FOR_A_DAY = {"cache-control": "private, max-age=86400"}
"""A file of the runtime keeps its name where the version changes."""


def runtime_file(service: Service, name: str) -> Response:
    """A file of ONNX Runtime's build for browsers.

    Raises:
        ForbiddenError: the operator does not let models run in browsers.
        NotFoundError: no such file, or it was never put into the registry.
        StoreError: the store does not answer.
    """
    _require(service)
    if name not in layout.EDGE_FILES:
        raise NotFoundError(f"edge/{name:.200}: expected one of {', '.join(layout.EDGE_FILES)}")
    store = service.traffic.models.registry.store
    try:
        data = store.read(layout.edge_key(name)).data
    except ObjectNotFoundError as error:
        raise NotFoundError(f"{error}: `onnxlet edge` puts {layout.EDGE_RUNTIME} into the registry") from error
    media_type = MEDIA_TYPES[name.rpartition(".")[2]]
    return Response(200, data, media_type, {"content-encoding": "gzip", **FOR_A_DAY})


def graph(service: Service, model: str, version: int, sha256: str) -> Response:
    """A graph of a version, in the form that any ONNX Runtime loads.

    Raises:
        ForbiddenError: the operator does not let models run in browsers.
        ModelNotFoundError, NotFoundError: no such version, or no such graph of it.
        UntrustedModelError: it is not signed by whom this function trusts.
        ArtifactError, StoreError: the bytes are not the published ones, or cannot be had.
    """
    _require(service)
    models = service.traffic.models
    manifest = models.registry.version(model, version)
    models.require_trust(manifest)
    for artifact in manifest.artifacts:
        if artifact.sha256 == sha256 and artifact.role in GRAPH_ROLES and artifact.format == ONNX:
            data = bytes(models.registry.artifacts.read(artifact))
            return Response(200, data, "application/octet-stream", FOR_EVER)
    raise NotFoundError(f"{sha256:.80}: {model} version {version} has no such graph")


def _require(service: Service) -> None:
    if not service.settings.edge:
        raise ForbiddenError("this function keeps its models to itself; ONNXLET_EDGE=1 lets browsers run them")
