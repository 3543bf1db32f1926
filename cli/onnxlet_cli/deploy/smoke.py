"""The smoke request: what is deployed answers the golden request of the version that is live."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass

from onnxlet.contract import tensors
from onnxlet.contract.golden import MAX_DIFFERENCE, Golden
from onnxlet.contract.manifest import Manifest
from onnxlet.contract.tensors import DATATYPES, Tensor
from onnxlet.errors import ArtifactError, ManifestError, OnnxletError, StoreError
from onnxlet.registry.registry import Registry
from onnxlet_cli import access
from onnxlet_cli.deploy.cloud import Cloud, Outputs, Reply, Unasked

HEADER_LENGTH = "inference-header-content-length"

PATIENCE_S = 90
"""For names, permissions and code to come everywhere: a new Function URL answers 403 for a while."""
PAUSE_S = 2

TOO_LARGE = frozenset({303, 413})
"""Statuses of a request, or of an answer, that the cloud carries only by way of its object storage."""

NOT_YET = frozenset({403, 404, 429, 500, 502, 503, 504})
"""Statuses that a new deployment may answer with, and then no more."""


@dataclass(frozen=True)
class Answer:
    """What came back."""

    path: str
    milliseconds: float
    """Of the request that succeeded, first connection and perhaps a cold start included."""
    is_golden: bool
    """Whether the answer was compared with the version's golden example; else it was only asked whether it is ready."""
    random: tuple[str, ...] = ()
    """The outputs that were not compared, since the model draws random numbers for them."""


def ask(
    cloud: Cloud,
    outputs: Outputs,
    registry: Registry,
    manifest: Manifest,
    patience_s: float = PATIENCE_S,
    pause_s: float = PAUSE_S,
) -> Answer | Unasked:
    """Send the golden request of a version, until it is answered, or this machine turns out not to be a caller.

    Raises:
        ArtifactError: the answer is another one.
        StoreError: none came; the text says what did.
    """
    golden = _golden(registry, manifest)
    path, body, headers = _question(manifest, golden)
    deadline = time.monotonic() + patience_s
    while True:
        started = time.perf_counter()
        reply = _send(cloud, outputs, path, body, headers)
        if isinstance(reply, Unasked):
            return reply
        milliseconds = (time.perf_counter() - started) * 1000
        if isinstance(reply, Reply) and reply.status == 200:
            if golden is not None:
                check(golden, reply)
            return _answer(path, milliseconds, golden)
        if isinstance(reply, Reply) and reply.status in TOO_LARGE and golden is not None:
            golden = None
            path, body, headers = _question(manifest, golden)
            continue
        text = describe(reply)
        if time.monotonic() > deadline or (isinstance(reply, Reply) and reply.status not in NOT_YET):
            remedy = f"; {access.remedy(outputs.registry_url)}" if is_keyless(reply) else ""
            raise StoreError(f"{outputs.http_url}: what is deployed does not answer: {text}{remedy}")
        time.sleep(pause_s)


def _golden(registry: Registry, manifest: Manifest) -> Golden | None:
    """Return the golden example; None where the version has none that can be read, which no function needs."""
    try:
        return registry.golden(manifest)
    except (ArtifactError, ManifestError):
        return None


def _question(manifest: Manifest, golden: Golden | None) -> tuple[str, bytes | None, dict[str, str]]:
    """Return the path, the body and the headers of the smoke request."""
    path = f"/v2/models/{manifest.model}/versions/{manifest.version}"
    return (f"{path}/ready", None, {}) if golden is None else (f"{path}/infer", *to_request(golden))


def _answer(path: str, milliseconds: float, golden: Golden | None) -> Answer:
    if golden is None:
        return Answer(path, milliseconds, is_golden=False)
    return Answer(path, milliseconds, bool(golden.compared), golden.random)


def is_keyless(reply: Reply | OSError) -> bool:
    """Whether the functions themselves, and not their cloud, ask for an API key."""
    return isinstance(reply, Reply) and reply.status == 401 and b'"unauthenticated"' in reply.body


def to_request(golden: Golden) -> tuple[bytes, dict[str, str]]:
    """The golden inputs as a V2 request in the binary form, which asks for a binary answer; its body and headers."""
    items = [
        {
            "name": name,
            "datatype": tensor.datatype.name,
            "shape": tensor.shape,
            "parameters": {"binary_data_size": len(tensor.buffer)},
        }
        for name, tensor in golden.inputs.items()
    ]
    head = json.dumps({"inputs": items, "parameters": {"binary_data_output": True}}).encode()
    body = head + b"".join(bytes(tensor.buffer) for tensor in golden.inputs.values())
    return body, {"content-type": "application/octet-stream", HEADER_LENGTH: str(len(head))}


def check(golden: Golden, reply: Reply) -> None:
    """Compare an answer with the golden one.

    Raises:
        ArtifactError: it is another.
    """
    try:
        found = read_outputs(reply)
        difference = golden.difference(found)
    except (KeyError, TypeError, ValueError, OnnxletError) as error:
        raise ArtifactError(
            f"what is deployed answers the golden request with {reply.body[:100]!r}: {error!r}"
        ) from error
    if difference > MAX_DIFFERENCE:
        raise ArtifactError(f"what is deployed answers the golden request {difference:.2g} off")


def read_outputs(reply: Reply) -> dict[str, Tensor]:
    """The tensors of a binary V2 answer."""
    split = int(reply.headers[HEADER_LENGTH])
    document, position = json.loads(reply.body[:split]), split
    found = {}
    for item in document["outputs"]:
        size = item["parameters"]["binary_data_size"]
        buffer = memoryview(reply.body)[position : position + size]
        found[item["name"]] = tensors.from_bytes(
            item["name"], DATATYPES[item["datatype"]], tuple(item["shape"]), buffer
        )
        position += size
    return found


def describe(reply: Reply | OSError) -> str:
    """What is said of a reply that is none."""
    if isinstance(reply, OSError):
        return str(reply)
    text = reply.body[:300].decode(errors="replace")
    try:
        document = json.loads(text)
        text = document.get("error") or document.get("Message") or document.get("message") or text
    except (ValueError, AttributeError):
        pass
    return f"{reply.status}: {text}"


def _send(
    cloud: Cloud, outputs: Outputs, path: str, body: bytes | None, headers: Mapping[str, str]
) -> Reply | OSError | Unasked:
    try:
        return cloud.send(outputs, path, body, access.with_key(headers))
    except OSError as error:
        return error
