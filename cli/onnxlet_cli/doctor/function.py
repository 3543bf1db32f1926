"""A function's URL: whether it answers, who may call it, whether it is ready, and whether its answers are right."""

import json
from collections.abc import Generator, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from onnxlet.contract.alias import Alias
from onnxlet.contract.golden import MAX_DIFFERENCE, Golden
from onnxlet.errors import OnnxletError
from onnxlet.registry.registry import Registry
from onnxlet_cli import access, http_client, sigv4
from onnxlet_cli.deploy import smoke
from onnxlet_cli.doctor import clock, remedies, versions
from onnxlet_cli.doctor.finding import Finding, error, ok, warning
from onnxlet_cli.doctor.unreached import explained
from onnxlet_cli.http_client import Response

REFUSALS = (401, 403)

GOOGLE_HOSTS = (".run.app", ".cloudfunctions.net")

MAX_MODELS = 20
"""The most models that are requested from one function: it loads each of them."""


class Caller:
    """A caller without credentials, and with a signature as soon as the function wants one."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self.is_signing = False

    def send(self, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None) -> Response:
        """Send a request, a GET, or a POST if there is a body; raises as `http_client.send`."""
        url, all_headers = f"{self.url}{path}", access.with_key(headers or {})
        if self.is_signing:
            all_headers = sigv4.signed_by_user(url, body, all_headers) or all_headers
        return http_client.send(url, body, all_headers)


def examine(url: str, registry: Registry | None = None) -> Iterator[Finding]:
    """Check what a function is, whether it is ready, its models, and their golden examples.

    The registry is the one that the function reads, with the expected answers; None skips the golden requests.
    """
    return explained(_examine(Caller(url), url, registry), url)


def _examine(caller: Caller, url: str, registry: Registry | None) -> Iterator[Finding]:
    response = caller.send("/v2")
    yield from clock.examine(response.headers, url)
    if response.status in REFUSALS and not smoke.is_keyless(response):
        allowed = yield from _signed(caller, response)
        if allowed is None:
            return
        response = allowed
    if smoke.is_keyless(response):
        yield error("url_key", url, smoke.describe(response), "a valid API key", access.remedy())
        return
    problem = _not_onnxlet(url, response)
    if problem:
        yield problem
        return
    yield ok("url", url, f"onnxlet {_document(response).get('version')}")
    yield from explained(_ready(caller), caller.url)
    for name in _names(caller, registry)[:MAX_MODELS]:
        where = f"{caller.url}, {name}"
        yield from explained(_examine_model(caller, name, registry, where), where)


def _signed(caller: Caller, refused: Response) -> Generator[Finding, None, Response | None]:
    """Repeat a refused request with a signature; return the response if that helped."""
    host = urlsplit(caller.url).hostname or ""
    if host.endswith(GOOGLE_HOSTS):
        remedy = f'call it with -H "Authorization: Bearer $(gcloud auth print-identity-token)" {caller.url}'
        found = f"{refused.status}: only callers with roles/run.invoker are allowed"
        yield error("url_forbidden", caller.url, found, "an identity token", remedy)
        return None
    caller.is_signing = True
    response = caller.send("/v2") if sigv4.signed_by_user(caller.url, None, {}) is not None else refused
    if response.status not in REFUSALS or smoke.is_keyless(response):
        yield ok("url_auth", caller.url, f"IAM: signed; by hand: {sigv4.curl_command(caller.url)}")
        return response
    text = smoke.describe(refused)
    if "execute-api" in host:
        remedy = f'send the API key, -H "x-api-key: KEY", or a signature: {sigv4.curl_command(caller.url)}'
    else:
        rights = "lambda:InvokeFunctionUrl and lambda:InvokeFunction"
        remedy = f"the function requires IAM: get {rights}, and sign: {sigv4.curl_command(caller.url)}"
    yield error("url_forbidden", caller.url, text, "an answer for an allowed caller", remedy)
    return None


def _not_onnxlet(url: str, response: Response) -> Finding | None:
    """Return what is wrong with a response that is not of onnxlet, or None."""
    if response.status == 200 and _document(response).get("name") == "onnxlet":
        return None
    found = smoke.describe(response)[:200]
    if response.status >= 500:
        remedy = f"{remedies.READ_LOG}; onnxlet doctor PACKAGE.zip checks what was deployed"
        return error("function_fails", url, found, "200 from /v2", remedy)
    remedy = "is this the function's own URL, without a path behind it?"
    return error("url_other", url, f"{found or response.status}", "onnxlet's own answer to /v2", remedy)


def _ready(caller: Caller) -> Iterator[Finding]:
    response = caller.send("/v2/health/ready")
    if response.status == 200:
        yield ok("function_ready", caller.url, "ready")
    else:
        found, expected = smoke.describe(response), "a default model that answers"
        yield error("function_not_ready", caller.url, found, expected, _remedy(response))


def _names(caller: Caller, registry: Registry | None) -> list[str]:
    """Return the models to request: the registry's, or without a registry those that the function lists."""
    if registry is not None:
        try:
            return [name for name in registry.models() if _live(registry, name) is not None]
        except OnnxletError:
            return []  # the check of the registry reports it
    response = caller.send("/v1/models")
    names = _document(response).get("models")
    return [str(name) for name in names] if isinstance(names, list) else []


def _examine_model(caller: Caller, name: str, registry: Registry | None, where: str) -> Iterator[Finding]:
    response = caller.send(f"/v2/models/{name}")
    document = _document(response)
    if response.status != 200:
        yield error("function_model", where, smoke.describe(response), "the model", _remedy(response))
        return
    if document.get("problem"):
        remedy = remedies.OF_FUNCTION["invalid_artifact"]
        yield warning("function_stale", where, str(document["problem"]), "the version that live names", remedy)
    version = str((document.get("versions") or ["0"])[0])
    alias = None if registry is None else _live(registry, name)
    if registry is None or alias is None:
        yield ok("function_model", where, f"version {version}")
        return
    yield _version(alias, version, where)
    if version.isdigit():
        where = f"{where} version {version}"
        yield from explained(_golden(caller, registry, name, int(version), where), where)


def _version(alias: Alias, version: str, where: str) -> Finding:
    if version in {str(share.manifest.version) for share in (alias, alias.canary) if share}:
        return ok("function_model", where, f"version {version}")
    expected = f"version {alias.manifest.version}, which is live in the registry"
    remedy = "wait for ONNXLET_REFRESH_S; if it stays, does ONNXLET_REGISTRY name this registry?"
    return warning("function_version", where, f"version {version}", expected, remedy)


def _golden(caller: Caller, registry: Registry, name: str, version: int, where: str) -> Iterator[Finding]:
    """Send the golden request of the version that answers, and compare the answer."""
    try:
        golden = registry.golden(registry.version(name, version))
    except OnnxletError as problem:
        remedy = "does ONNXLET_REGISTRY name this registry?"
        yield error("function_registry", where, str(problem), "a version of this registry", remedy)
        return
    if golden is None:
        return
    response = caller.send(f"/v2/models/{name}/versions/{version}/infer", *smoke.to_request(golden))
    if response.status in smoke.TOO_LARGE:
        yield ok("golden", where, "the golden request is too large for this function, and was not compared")
        return
    difference = _difference(golden, response)
    if isinstance(difference, str):
        yield error("golden_fails", where, difference, "the golden answer", _remedy(response))
    elif difference > MAX_DIFFERENCE:
        expected = f"the golden answer, within {MAX_DIFFERENCE:g}"
        remedy = f"does ONNXLET_REGISTRY name {registry.store.url}? If so, publish the model again"
        yield error("golden_differs", where, f"an answer that is {difference:.2g} off", expected, remedy)
    else:
        yield ok("golden", where, versions.describe_golden(golden, difference))


def _difference(golden: Golden, response: Response) -> float | str:
    """Return the difference of an answer from the golden one, or the text of a failed response."""
    if response.status != 200:
        return smoke.describe(response)
    try:
        return golden.difference(smoke.read_outputs(response))
    except (KeyError, TypeError, ValueError, OnnxletError) as problem:
        return f"an answer of another form: {problem!r}"


def _live(registry: Registry, name: str) -> Alias | None:
    try:
        return registry.alias(name)
    except OnnxletError:
        return None


def _remedy(response: Response) -> str:
    return remedies.OF_FUNCTION.get(str(_document(response).get("code")), remedies.READ_LOG)


def _document(response: Response) -> dict[str, Any]:
    try:
        document = json.loads(response.body)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
