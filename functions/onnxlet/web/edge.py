"""The edge: the graphs of a version, and the ONNX Runtime with which a browser runs them itself."""

import hashlib

from onnxlet import notices
from onnxlet.contract import layout
from onnxlet.contract.artifact import GRAPH_ROLES, ONNX
from onnxlet.errors import ArtifactError, ForbiddenError, NotFoundError, StoreError, TooLargeError
from onnxlet.http import Response
from onnxlet.models.trust import require_trust
from onnxlet.service import Service

MEDIA_TYPES = {"mjs": "text/javascript; charset=utf-8", "wasm": "application/wasm"}

FOR_EVER = {"cache-control": "private, max-age=31536000, immutable"}
"""Sent with a graph: its path has its SHA-256, so it never changes."""

FOR_A_DAY = {"cache-control": "private, max-age=86400"}
"""Sent with a file of the runtime, whose name stays the same in another version of the runtime."""

GZIP = 31
"""The number for the gzip format with the largest window, in zlib."""

CHUNK_BYTES = 1024 * 1024

_known_genuine: set[tuple[str, bytes]] = set()
"""Genuine files, by name and SHA-256 of their gzip. Inflating 14 MB again would take 0.1 s of every request."""


def runtime_file(service: Service, name: str) -> Response:
    """Return a file of ONNX Runtime's build for browsers, if it is the published one.

    These files need no API key, so the errors do not name the registry.

    Raises:
        ForbiddenError: the operator does not let models run in browsers.
        NotFoundError: there is no such file, or it is not in the registry.
        ArtifactError: the registry has another file under this name.
        StoreError: the store does not answer.
    """
    _require(service)
    if name not in layout.EDGE_FILES:
        raise NotFoundError(f"edge/{name:.200}: expected one of {', '.join(layout.EDGE_FILES)}")
    data = _read(service, name)
    key = (name, hashlib.sha256(data).digest())
    if key not in _known_genuine:
        if not is_genuine(name, data):
            raise ArtifactError(_not_genuine(name))
        _known_genuine.add(key)
    media_type = MEDIA_TYPES[name.rpartition(".")[2]]
    return Response(200, data, media_type, {"content-encoding": "gzip", **FOR_A_DAY})


def is_genuine(name: str, data: bytes) -> bool:
    """Return whether `data` is the gzip of the published file, and nothing more.

    Args:
        name: One of `layout.EDGE_FILES`.
        data: The registry's object of this name. It may be anything, even a decompression bomb.
    """
    import zlib  # most functions send no runtime

    inflater, digest, size_bytes, rest = zlib.decompressobj(GZIP), hashlib.sha256(), 0, data
    try:
        while not inflater.eof and size_bytes <= layout.MAX_EDGE_BYTES:
            piece = inflater.decompress(rest, CHUNK_BYTES)
            if not piece and not inflater.eof:
                return False  # the data ends too early
            digest.update(piece)
            size_bytes += len(piece)
            rest = inflater.unconsumed_tail
    except zlib.error:
        return False
    return inflater.eof and not inflater.unused_data and digest.hexdigest() == layout.EDGE_FILES[name]


def _read(service: Service, name: str) -> bytes:
    store = service.traffic.models.registry.store
    try:
        return store.read(layout.edge_key(name), at_most=layout.MAX_EDGE_BYTES).data
    except NotFoundError as error:
        raise NotFoundError(f"edge/{name}: not in the registry; `onnxlet edge` adds {layout.EDGE_RUNTIME}") from error
    except TooLargeError as error:
        raise ArtifactError(_not_genuine(name)) from error
    except StoreError as error:
        notices.error("edge/%s was not read: %s", name, error)
        raise StoreError(f"edge/{name}: the registry does not answer; see the function's log") from error


def _not_genuine(name: str) -> str:
    return f"edge/{name}: expected the file of {layout.EDGE_RUNTIME}, got another one; `onnxlet edge` replaces it"


def graph(service: Service, model: str, version: int, sha256: str) -> Response:
    """Return a graph of a version in the form that any ONNX Runtime loads.

    Raises:
        ForbiddenError: the operator does not let models run in browsers.
        ModelNotFoundError, NotFoundError: there is no such version, or it has no such graph.
        UntrustedModelError: no trusted key has signed the version.
        ArtifactError: the bytes are not the published ones.
        StoreError: the bytes cannot be read.
    """
    _require(service)
    registry = service.traffic.models.registry
    manifest = registry.version(model, version)
    require_trust(manifest, service.settings.public_keys)
    for artifact in manifest.artifacts:
        if artifact.sha256 == sha256 and artifact.role in GRAPH_ROLES and artifact.format == ONNX:
            data = bytes(registry.artifacts.read(artifact))
            return Response(200, data, "application/octet-stream", FOR_EVER)
    raise NotFoundError(f"{sha256:.80}: not a graph of {model} version {version}; its manifest lists the graphs")


def _require(service: Service) -> None:
    if not service.settings.edge:
        raise ForbiddenError("models may not run in browsers here; the operator's setting ONNXLET_EDGE=1 allows it")
