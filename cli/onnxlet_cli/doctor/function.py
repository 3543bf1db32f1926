"""A function's URL: whether it answers, who may ask, whether it is ready, and whether it answers what it must."""

import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from onnxlet.contract.alias import Alias
from onnxlet.contract.golden import MAX_DIFFERENCE, Golden
from onnxlet.errors import OnnxletError
from onnxlet.registry.registry import Registry
from onnxlet_cli import access
from onnxlet_cli.deploy import smoke
from onnxlet_cli.deploy.cloud import Reply
from onnxlet_cli.doctor import clock, remedies, signing, versions, web
from onnxlet_cli.doctor.finding import Finding, error, ok, warning
from onnxlet_cli.doctor.web import Unreached

REFUSALS = (401, 403)

GOOGLE_HOSTS = (".run.app", ".cloudfunctions.net")

MAX_MODELS = 20
"""That are asked of one function: each is loaded for it."""


class Caller:
    """Who asks: as anybody, or with a signature where the function wants one."""

    def __init__(self, url: str) -> None:
        """Take the function's URL."""
        self.url = url.rstrip("/")
        self.is_signing = False

    def ask(self, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None) -> Reply | Unreached:
        """Send a request: GET, or POST where there is a body."""
        url, found = f"{self.url}{path}", access.with_key(headers or {})
        if self.is_signing:
            found = signing.signed(url, body, found) or found
        return web.ask(url, body, found)


def examine(url: str, registry: Registry | None = None) -> Iterator[Finding]:
    """Ask a function what it is, whether it is ready, for its models, and their golden examples.

    Args:
        url: Where it answers.
        registry: The one that it reads, for what it must answer; None asks no golden request.
    """
    caller = Caller(url)
    reply = caller.ask("/v2")
    if isinstance(reply, Unreached):
        yield reply.finding(url)
        return
    finding = clock.examine(reply.headers, url)
    if finding:
        yield finding
    if reply.status in REFUSALS and not smoke.is_keyless(reply):
        allowed, finding = _signed(caller, reply)
        yield finding
        if allowed is None:
            return
        reply = allowed
    if smoke.is_keyless(reply):
        yield error("url_key", url, smoke.describe(reply), "an API key that is good", access.remedy())
        return
    problem = _not_ours(url, reply)
    if problem:
        yield problem
        return
    yield ok("url", url, f"onnxlet {_document(reply).get('version')}")
    yield _ready(caller)
    for name in _names(caller, registry)[:MAX_MODELS]:
        yield from _examine_model(caller, name, registry)


def _signed(caller: Caller, refused: Reply) -> tuple[Reply | None, Finding]:
    """Ask again with a signature; the answer, where that was the cause, and what is to be said of it."""
    host = urlsplit(caller.url).hostname or ""
    if host.endswith(GOOGLE_HOSTS):
        remedy = f'call it with -H "Authorization: Bearer $(gcloud auth print-identity-token)" {caller.url}'
        found = f"{refused.status}: only who has roles/run.invoker may call"
        return None, error("url_forbidden", caller.url, found, "an identity token", remedy)
    caller.is_signing = True
    reply = caller.ask("/v2") if signing.signed(caller.url, None, {}) is not None else refused
    if isinstance(reply, Reply) and (reply.status not in REFUSALS or smoke.is_keyless(reply)):
        return reply, ok("url_auth", caller.url, f"IAM: signed; by hand: {signing.command(caller.url)}")
    text = smoke.describe(refused)
    if "execute-api" in host:
        remedy = f'send the API key, -H "x-api-key: KEY", or a signature: {signing.command(caller.url)}'
    else:
        rights = "lambda:InvokeFunctionUrl and lambda:InvokeFunction"
        remedy = f"IAM is asked: have {rights}, and sign: {signing.command(caller.url)}"
    return None, error("url_forbidden", caller.url, text, "an answer to who may call", remedy)


def _not_ours(url: str, reply: Reply) -> Finding | None:
    """What is wrong with an answer that is not that of our functions."""
    if reply.status == 200 and _document(reply).get("name") == "onnxlet":
        return None
    found = smoke.describe(reply)[:200]
    if reply.status >= 500:
        remedy = f"{remedies.READ_LOG}; onnxlet doctor PACKAGE.zip looks at what was deployed"
        return error("function_fails", url, found, "200 from /v2", remedy)
    remedy = "is this the function's own URL, without a path behind it?"
    return error("url_other", url, f"{found or reply.status}", "onnxlet's own answer to /v2", remedy)


def _ready(caller: Caller) -> Finding:
    reply = caller.ask("/v2/health/ready")
    if isinstance(reply, Unreached):
        return reply.finding(caller.url)
    if reply.status == 200:
        return ok("function_ready", caller.url, "ready")
    remedy = remedies.OF_FUNCTION.get(str(_document(reply).get("code")), remedies.READ_LOG)
    return error("function_not_ready", caller.url, smoke.describe(reply), "a default model that answers", remedy)


def _names(caller: Caller, registry: Registry | None) -> list[str]:
    """The models to ask for: the registry's, else those that the function lists."""
    if registry is not None:
        try:
            return [name for name in registry.models() if _live(registry, name) is not None]
        except OnnxletError:
            return []  # which the look at the registry says
    reply = caller.ask("/v1/models")
    names = _document(reply).get("models") if isinstance(reply, Reply) else None
    return [str(name) for name in names] if isinstance(names, list) else []


def _examine_model(caller: Caller, name: str, registry: Registry | None) -> Iterator[Finding]:
    where = f"{caller.url}, {name}"
    reply = caller.ask(f"/v2/models/{name}")
    if isinstance(reply, Unreached):
        yield reply.finding(where)
        return
    document = _document(reply)
    if reply.status != 200:
        remedy = remedies.OF_FUNCTION.get(str(document.get("code")), remedies.READ_LOG)
        yield error("function_model", where, smoke.describe(reply), "the model", remedy)
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
        yield from _golden(caller, registry, name, int(version))


def _version(alias: Alias, version: str, where: str) -> Finding:
    shares = [share.manifest.version for share in (alias.canary,) if share]
    if version in map(str, (alias.manifest.version, *shares)):
        return ok("function_model", where, f"version {version}")
    expected = f"version {alias.manifest.version}, which is live in the registry"
    remedy = "wait for ONNXLET_REFRESH_S; if it stays, does ONNXLET_REGISTRY name this registry?"
    return warning("function_version", where, f"version {version}", expected, remedy)


def _golden(caller: Caller, registry: Registry, name: str, version: int) -> Iterator[Finding]:
    """Ask the golden request of the version that answers, and compare."""
    where = f"{caller.url}, {name} version {version}"
    try:
        golden = registry.golden(registry.version(name, version))
    except OnnxletError as problem:
        remedy = "does ONNXLET_REGISTRY name this registry?"
        yield error("function_registry", where, str(problem), "a version of this registry", remedy)
        return
    if golden is None:
        return
    reply = caller.ask(f"/v2/models/{name}/versions/{version}/infer", *smoke.to_request(golden))
    if isinstance(reply, Unreached):
        yield reply.finding(where)
        return
    if reply.status in smoke.TOO_LARGE:
        yield ok("golden", where, "the golden request is too large for this function, and was not asked")
        return
    difference = _difference(golden, reply)
    if isinstance(difference, str):
        remedy = remedies.OF_FUNCTION.get(str(_document(reply).get("code")), remedies.READ_LOG)
        yield error("golden_fails", where, difference, "the golden answer", remedy)
    elif difference > MAX_DIFFERENCE:
        expected = f"the golden answer, within {MAX_DIFFERENCE:g}"
        remedy = f"does ONNXLET_REGISTRY name {registry.store.url}? If so, publish the model again"
        yield error("golden_differs", where, f"an answer that is {difference:.2g} off", expected, remedy)
    else:
        yield ok("golden", where, versions.describe_golden(golden, difference))


def _difference(golden: Golden, reply: Reply) -> float | str:
    """How far an answer is from the golden one, or what it is instead of one."""
    if reply.status != 200:
        return smoke.describe(reply)
    try:
        return golden.difference(smoke.read_outputs(reply))
    except (KeyError, TypeError, ValueError, OnnxletError) as problem:
        return f"an answer of another form: {problem!r}"


def _live(registry: Registry, name: str) -> Alias | None:
    try:
        return registry.alias(name)
    except OnnxletError:
        return None


def _document(reply: Reply) -> dict[str, Any]:
    try:
        document = json.loads(reply.body)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
