"""The smoke request: the deployed function must give the golden answer of the live version."""

import json
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from onnxlet.contract import tensors
from onnxlet.contract.golden import MAX_DIFFERENCE, Golden
from onnxlet.contract.manifest import Manifest
from onnxlet.contract.tensors import DATATYPES, Tensor
from onnxlet.errors import ArtifactError, ManifestError, OnnxletError
from onnxlet.registry.registry import Registry
from onnxlet_cli import access
from onnxlet_cli.deploy.cloud import Cloud, NotCalled, Outputs
from onnxlet_cli.errors import ServiceError
from onnxlet_cli.http_client import Response

HEADER_LENGTH = "inference-header-content-length"

PATIENCE_S = 90
"""The time for names, permissions and code to spread: a new Function URL answers 403 for a while."""
PAUSE_S = 2

TOO_LARGE = frozenset({303, 413})
"""The statuses for a request or a response that only fits through the object storage."""

NOT_YET = frozenset({403, 404, 429, 500, 502, 503, 504})
"""The statuses that a new deployment may answer with at first."""


@dataclass(frozen=True)
class Answer:
    """The answer to the smoke request."""

    path: str
    milliseconds: float
    """The duration of the request that succeeded, with the first connection and perhaps a cold start."""
    is_golden: bool
    """Whether the answer was compared with the golden example; if not, the request only checked the readiness."""
    random: tuple[str, ...] = ()
    """The outputs that were not compared, since the model computes them from random numbers."""


def ask(
    cloud: Cloud,
    outputs: Outputs,
    registry: Registry,
    manifest: Manifest,
    patience_s: float = PATIENCE_S,
    pause_s: float = PAUSE_S,
) -> Answer | NotCalled:
    """Send the golden request of a version until it is answered, or until this machine proves to be no caller.

    Raises:
        ServiceError: no answer came in time, or another answer than the golden one.
    """
    golden = read_golden(registry, manifest)
    deadline = time.monotonic() + patience_s
    while True:
        path, body, headers = _question(manifest, golden)
        started = time.perf_counter()
        response = _send(cloud, outputs, path, body, headers)
        if isinstance(response, NotCalled):
            return response
        milliseconds = (time.perf_counter() - started) * 1000
        if isinstance(response, Response) and response.status == 200:
            if golden is None:
                return Answer(path, milliseconds, is_golden=False)
            check(golden, response)
            return Answer(path, milliseconds, bool(golden.compared), golden.random)
        if isinstance(response, Response) and response.status in TOO_LARGE and golden is not None:
            golden = None
            continue
        if time.monotonic() > deadline or (isinstance(response, Response) and response.status not in NOT_YET):
            remedy = f"; {access.remedy(outputs.registry_url)}" if is_keyless(response) else ""
            text = f"{outputs.http_url}: what is deployed does not answer: {describe(response)}{remedy}"
            raise ServiceError(text, url=outputs.http_url, status=response.status)
        time.sleep(pause_s)


def read_golden(registry: Registry, manifest: Manifest) -> Golden | None:
    """Return the golden example; None if it is missing or cannot be read: no function needs it."""
    try:
        return registry.golden(manifest)
    except (ArtifactError, ManifestError):
        return None


def _question(manifest: Manifest, golden: Golden | None) -> tuple[str, bytes | None, dict[str, str]]:
    """Return the path, the body and the headers of the smoke request."""
    path = f"/v2/models/{manifest.model}/versions/{manifest.version}"
    return (f"{path}/ready", None, {}) if golden is None else (f"{path}/infer", *to_request(golden))


def is_keyless(response: Response | ServiceError) -> bool:
    """Return whether the function itself, and not its cloud, wants an API key."""
    return isinstance(response, Response) and response.status == 401 and b'"unauthenticated"' in response.body


def to_request(golden: Golden) -> tuple[bytes, dict[str, str]]:
    """Return body and headers of a binary V2 request with the golden inputs, which requests a binary answer."""
    items = []
    for name, tensor in golden.inputs.items():
        size = {"binary_data_size": len(tensor.buffer)}
        items.append({"name": name, "datatype": tensor.datatype.name, "shape": tensor.shape, "parameters": size})
    head = json.dumps({"inputs": items, "parameters": {"binary_data_output": True}}).encode()
    body = head + b"".join(bytes(tensor.buffer) for tensor in golden.inputs.values())
    return body, {"content-type": "application/octet-stream", HEADER_LENGTH: str(len(head))}


def check(golden: Golden, response: Response) -> None:
    """Compare a response with the golden answer.

    Raises:
        ServiceError: it is another answer.
    """
    try:
        difference = golden.difference(read_outputs(response))
    except (KeyError, TypeError, ValueError, OnnxletError) as error:
        text = f"what is deployed answers the golden request with {response.body[:100]!r}: {error!r}"
        raise ServiceError(text) from error
    if difference > MAX_DIFFERENCE:
        raise ServiceError(f"what is deployed answers the golden request {difference:.2g} off")


def read_outputs(response: Response) -> dict[str, Tensor]:
    """Return the tensors of a binary V2 response."""
    split = int(response.headers[HEADER_LENGTH])
    document, position = json.loads(response.body[:split]), split
    outputs = {}
    for item in document["outputs"]:
        size = item["parameters"]["binary_data_size"]
        buffer = memoryview(response.body)[position : position + size]
        name, datatype = item["name"], DATATYPES[item["datatype"]]
        outputs[name] = tensors.from_bytes(name, datatype, tuple(item["shape"]), buffer)
        position += size
    return outputs


def describe(response: Response | ServiceError) -> str:
    """Return the text of a failed response."""
    if isinstance(response, ServiceError):
        return str(response)
    text = response.body[:300].decode(errors="replace")
    with suppress(ValueError, AttributeError):
        document = json.loads(text)
        text = document.get("error") or document.get("Message") or document.get("message") or text
    return f"{response.status}: {text}"


def _send(
    cloud: Cloud, outputs: Outputs, path: str, body: bytes | None, headers: Mapping[str, str]
) -> Response | ServiceError | NotCalled:
    try:
        return cloud.send(outputs, path, body, access.with_key(headers))
    except ServiceError as error:
        return error
