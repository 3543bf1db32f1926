"""The edge: what a browser fetches to run a version itself, the version's graphs and a runtime for them."""

import hashlib
import logging

from onnxlet.contract import layout
from onnxlet.contract.artifact import GRAPH_ROLES, ONNX
from onnxlet.errors import ArtifactError, ForbiddenError, NotFoundError, StoreError, TooLargeError
from onnxlet.http import Response
from onnxlet.models.trust import require_trust
from onnxlet.service import Service
from onnxlet.storage import Store

logger = logging.getLogger("onnxlet")

MEDIA_TYPES = {"mjs": "text/javascript; charset=utf-8", "wasm": "application/wasm"}

FOR_EVER = {"cache-control": "private, max-age=31536000, immutable"}
"""What is found by its SHA-256 never changes."""

FOR_A_DAY = {"cache-control": "private, max-age=86400"}
"""A file of the runtime keeps its name where the version changes."""


GZIP = 31
"""For zlib: a gzip header, and its largest window."""
CHUNK_BYTES = 1024 * 1024

_known_genuine: set[tuple[str, bytes]] = set()
"""The files that were genuine, by name and the SHA-256 of their gzip: to inflate 14 MB takes 0.1 s of every request."""


def runtime_file(service: Service, name: str) -> Response:
    """Return a file of ONNX Runtime's build for browsers, if it is the published one.

    Nobody needs a key for these files, so no error names the registry.

    Raises:
        ForbiddenError: the operator does not let models run in browsers.
        NotFoundError: no such file, or it was never put into the registry.
        ArtifactError: the registry holds another file under this name.
        StoreError: the store does not answer.
    """
    _require(service)
    if name not in layout.EDGE_FILES:
        raise NotFoundError(f"edge/{name:.200}: expected one of {', '.join(layout.EDGE_FILES)}")
    data = _read(service.traffic.models.registry.store, name)
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
        data: What the registry holds; it may be anything, also a bomb.
    """
    import zlib  # most functions hand out no runtime

    inflater, digest, size_bytes, left = zlib.decompressobj(GZIP), hashlib.sha256(), 0, data
    try:
        while not inflater.eof and size_bytes <= layout.MAX_EDGE_BYTES:
            piece = inflater.decompress(left, CHUNK_BYTES)
            if not piece and not inflater.eof:
                return False  # it ends too early
            digest.update(piece)
            size_bytes += len(piece)
            left = inflater.unconsumed_tail
    except zlib.error:
        return False
    return inflater.eof and not inflater.unused_data and digest.hexdigest() == layout.EDGE_FILES[name]


def _read(store: Store, name: str) -> bytes:
    try:
        return store.read(layout.edge_key(name), at_most=layout.MAX_EDGE_BYTES).data
    except NotFoundError as error:
        raise NotFoundError(
            f"edge/{name}: not in the registry; `onnxlet edge` puts {layout.EDGE_RUNTIME} there"
        ) from error
    except TooLargeError as error:
        raise ArtifactError(_not_genuine(name)) from error
    except StoreError as error:
        logger.error("edge/%s was not read: %s", name, error)  # noqa: TRY400 - the line says it all
        raise StoreError(f"edge/{name}: the registry does not answer; the function's log says why") from error


def _not_genuine(name: str) -> str:
    return f"edge/{name}: expected the file of {layout.EDGE_RUNTIME}, got another one; `onnxlet edge` replaces it"


def graph(service: Service, model: str, version: int, sha256: str) -> Response:
    """A graph of a version, in the form that any ONNX Runtime loads.

    Raises:
        ForbiddenError: the operator does not let models run in browsers.
        ModelNotFoundError, NotFoundError: no such version, or no such graph of it.
        UntrustedModelError: it is not signed by whom this function trusts.
        ArtifactError, StoreError: the bytes are not the published ones, or cannot be had.
    """
    _require(service)
    registry = service.traffic.models.registry
    manifest = registry.version(model, version)
    require_trust(manifest, service.settings.public_keys)
    for artifact in manifest.artifacts:
        if artifact.sha256 == sha256 and artifact.role in GRAPH_ROLES and artifact.format == ONNX:
            data = bytes(registry.artifacts.read(artifact))
            return Response(200, data, "application/octet-stream", FOR_EVER)
    raise NotFoundError(f"{sha256:.80}: {model} version {version} has no such graph")


def _require(service: Service) -> None:
    if not service.settings.edge:
        raise ForbiddenError("this function keeps its models to itself; ONNXLET_EDGE=1 lets browsers run them")
