"""A CloudFormation stack: its state, and each of its functions compared with the registry that the function reads."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from onnxlet.contract import expectation, signature
from onnxlet.contract.manifest import Manifest
from onnxlet.errors import ModelNotFoundError, OnnxletError, SettingsError, UntrustedModelError
from onnxlet.registry.registry import Registry
from onnxlet.settings.parsers import parse_public_keys
from onnxlet_cli.deploy.aws.api_errors import aws_errors
from onnxlet_cli.deploy.aws.stack import find_stack, list_resources
from onnxlet_cli.doctor import function as http_function
from onnxlet_cli.doctor import registry as registries
from onnxlet_cli.doctor import versions
from onnxlet_cli.doctor.finding import Finding, error, ok, warning
from onnxlet_cli.doctor.libraries import parse_version
from onnxlet_cli.doctor.machine import examine_settings
from onnxlet_cli.doctor.versions import Examination
from onnxlet_cli.package.target import OLDEST_LAMBDA_PYTHON
from onnxlet_publishing.errors import AccountError, CommandError, UsageError

FUNCTION, BUCKET = "AWS::Lambda::Function", "AWS::S3::Bucket"

HTTP_OUTPUT = "HttpUrl"
"""The output of the template with the function's URL."""


@dataclass(frozen=True)
class Deployed:
    """A deployed function."""

    name: str
    architecture: str
    runtime: str
    memory_mib: int
    state: str
    reason: str
    environment: Mapping[str, str]


def examine(name: str, registry: Registry | None, examination: Examination) -> Iterator[Finding]:
    """Check a stack, its functions and its URL.

    The functions are compared with the registry; None takes the one that each function reads.
    """
    import boto3  # imported only here: it takes longer than the other checks together

    region = os.environ.get("AWS_REGION") or None  # boto3 reads only AWS_DEFAULT_REGION
    session = boto3.Session(region_name=region)
    try:
        with aws_errors(f"the stack {name}"):
            yield from _examine(session, name, registry, examination)
    except UsageError as problem:
        yield error("stack_region", name, str(problem), "a region", "set AWS_REGION")
    except AccountError as problem:
        yield error("stack_denied", name, str(problem), "credentials that may read it", "see the policy ReadOnlyAccess")
    except CommandError as problem:
        yield error("stack_unreachable", name, str(problem), "an answer of AWS", "is the region right?")


def _examine(session: Any, name: str, registry: Registry | None, examination: Examination) -> Iterator[Finding]:
    cloudformation = session.client("cloudformation")
    found = find_stack(cloudformation, name)
    if found is None:
        expected = f"a stack in {session.region_name}"
        yield error("stack_missing", name, "no such stack", expected, "onnxlet deploy, or set AWS_REGION")
        return
    yield _state(name, found.status)
    resources = list_resources(cloudformation, name)
    deployed = [_read_function(session, item) for item in resources if item["ResourceType"] == FUNCTION]
    functions = [function for function in deployed if "ONNXLET_REGISTRY" in function.environment]
    if not functions:
        expected = "one with ONNXLET_REGISTRY"
        yield error("stack_functions", name, "no function of onnxlet", expected, "is this the right stack?")
    buckets = [item["PhysicalResourceId"] for item in resources if item["ResourceType"] == BUCKET]
    watched = list(_watched(session, buckets))
    opened: dict[str, Registry | None] = {}
    for url in dict.fromkeys(function.environment["ONNXLET_REGISTRY"] for function in functions):
        opened[url] = registry or (yield from registries.open_at(url))
    for each in dict.fromkeys(filter(None, opened.values())):
        yield from registries.examine(each, examination)
    for function in functions:
        url = function.environment["ONNXLET_REGISTRY"]
        yield from _examine_function(function, opened[url], examination, watched)
    if HTTP_OUTPUT in found.outputs:
        yield from http_function.examine(found.outputs[HTTP_OUTPUT], next(iter(opened.values()), None))


def _state(name: str, status: str) -> Finding:
    if status.endswith("_IN_PROGRESS"):
        return warning("stack_state", name, status, "a stack at rest", "wait until the deployment has ended")
    if "ROLLBACK" in status or status.endswith("_FAILED"):
        remedy = f"aws cloudformation describe-stack-events --stack-name {name} says why; then deploy again"
        return error("stack_state", name, status, "CREATE_COMPLETE or UPDATE_COMPLETE", remedy)
    return ok("stack", name, status)


def _read_function(session: Any, resource: Mapping[str, Any]) -> Deployed:
    found = session.client("lambda").get_function_configuration(FunctionName=resource["PhysicalResourceId"])
    state, update = found.get("State", "Active"), found.get("LastUpdateStatus", "Successful")
    return Deployed(
        found["FunctionName"],
        (found.get("Architectures") or ["x86_64"])[0],
        found.get("Runtime", ""),
        int(found["MemorySize"]),
        update if update == "Failed" else state,
        found.get("LastUpdateStatusReason") or found.get("StateReason") or "",
        found.get("Environment", {}).get("Variables", {}),
    )


def _watched(session: Any, buckets: list[str]) -> Iterator[str]:
    """Yield the URL prefixes whose new objects become events."""
    client = session.client("s3")
    for bucket in buckets:
        found = client.get_bucket_notification_configuration(Bucket=bucket)
        if "EventBridgeConfiguration" in found:
            yield f"s3://{bucket}/"  # a rule of EventBridge selects the objects
        for kind in ("LambdaFunctionConfigurations", "QueueConfigurations", "TopicConfigurations"):
            for item in found.get(kind, []):
                rules = item.get("Filter", {}).get("Key", {}).get("FilterRules", [])
                prefix = next((rule["Value"] for rule in rules if rule["Name"].lower() == "prefix"), "")
                yield f"s3://{bucket}/{prefix}"


def _examine_function(
    deployed: Deployed, registry: Registry | None, examination: Examination, watched: list[str]
) -> Iterator[Finding]:
    name = deployed.name
    yield from _configuration(deployed)
    yield from examine_settings(deployed.environment, name)
    results = deployed.environment.get("ONNXLET_RESULTS", "").rstrip("/") + "/"
    for place in watched:
        if results.startswith(place):
            remedy = "give the results a bucket or a prefix of their own"
            yield error("settings_loop", name, f"results {results} among the inputs {place}", "outside", remedy)
    model = deployed.environment.get("ONNXLET_MODEL")
    if registry is not None and model:
        yield from _examine_default(deployed, registry, model, examination)


def _configuration(deployed: Deployed) -> Iterator[Finding]:
    name = deployed.name
    if deployed.state not in {"Active", "Inactive"}:
        found = f"{deployed.state}: {deployed.reason}" if deployed.reason else deployed.state
        yield error("function_state", name, found, "Active", "deploy again; the reason says what to change")
    version = parse_version(deployed.runtime.removeprefix("python"))
    if deployed.runtime.startswith("python") and version < (3, OLDEST_LAMBDA_PYTHON):
        found = f"{deployed.runtime}, whose C library is older than the wheels need"
        remedy = "deploy with python3.13: onnxlet package --python 3.13"
        yield error("function_runtime", name, found, f"python3.{OLDEST_LAMBDA_PYTHON} or newer", remedy)
    else:
        memory = f"{deployed.memory_mib} MiB"
        yield ok("function", name, f"{deployed.runtime or 'a container'} on {deployed.architecture}, {memory}")


def _examine_default(deployed: Deployed, registry: Registry, model: str, examination: Examination) -> Iterator[Finding]:
    """Check the model that a function loads at its start: it exists, fits, and is the one that the function expects."""
    name = deployed.name
    try:
        manifest = registry.resolve(model)
    except ModelNotFoundError as problem:
        remedy = f"publish it, or correct ONNXLET_MODEL: onnxlet publish FILE --name {model}"
        yield error("function_model", name, str(problem), f"the live version of {model}", remedy)
        return
    except OnnxletError:
        return  # the check of the registry reports it
    bound = deployed.environment.get("ONNXLET_MEMORY_MIB", "")
    of_function = Examination(
        examination.pinned, deployed.memory_mib, int(bound) if bound.isdigit() else None, examination.can_load
    )
    yield versions.examine_memory(manifest, of_function, deployed.memory_mib, f"{name}, {model}")
    yield from _trust(deployed, manifest)
    prefetch = deployed.environment.get("ONNXLET_PREFETCH")
    if prefetch and examination.pinned:
        yield _prefetch(deployed, manifest, prefetch, examination.pinned)


def _trust(deployed: Deployed, manifest: Manifest) -> Iterator[Finding]:
    """Check whether a function that requires signatures trusts the version."""
    try:
        public_keys = parse_public_keys(deployed.environment.get("ONNXLET_PUBLIC_KEYS"))
        if public_keys:
            signature.require(manifest, public_keys)
            yield ok("signature", deployed.name, f"it trusts {manifest.model} version {manifest.version}")
    except SettingsError:
        return  # the check of the settings reports it
    except UntrustedModelError as problem:
        remedy = "publish it again with --sign, or add its publisher's key"
        yield error("signature_untrusted", deployed.name, str(problem), "a version that it trusts", remedy)


def _prefetch(deployed: Deployed, manifest: Manifest, prefetch: str, pinned: str) -> Finding:
    expected = expectation.to_text(manifest, deployed.environment.get("ONNXLET_VARIANT") or None, pinned)
    if prefetch == expected:
        return ok("prefetch", deployed.name, f"it expects {manifest.model} version {manifest.version}")
    found = f"ONNXLET_PREFETCH of another version than {manifest.version}, which is live: starts are a request longer"
    remedy = f"set it to what `onnxlet prefetch {manifest.model}` prints"
    return warning("prefetch_stale", deployed.name, found, f"{expected[:80]}...", remedy)
