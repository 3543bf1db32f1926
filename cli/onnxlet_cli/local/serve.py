"""Serving: the functions of one cloud on this machine, over HTTP and for files in an inbox."""

import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from onnxlet.errors import OnnxletError
from onnxlet_cli.local import inbox
from onnxlet_cli.local.bucket import NAME, serve_bucket
from onnxlet_cli.local.cloud_function import serve_cloud_function
from onnxlet_cli.local.function_url import serve_function_url
from onnxlet_cli.local.google_token import token_file
from onnxlet_cli.local.lambda_function import LambdaFunction
from onnxlet_cli.registry import open_place
from onnxlet_publishing.errors import CommandError, MachineError, UsageError
from onnxlet_publishing.google_identity import Identity, storage_of

READY_TIMEOUT_S = 60
EVENT_TIMEOUT_S = 60


@dataclass(frozen=True)
class LocalSettings:
    """The settings of `onnxlet serve`."""

    registry: str
    """The registry's root URL."""
    model: str | None
    """The default model."""
    port: int
    """The port of the HTTP function; 0 takes a free one."""
    inbox: Path | None = None
    outbox: Path | None = None
    """The folder for results; None takes `outbox` next to the inbox."""
    edge: bool = False
    """Whether browsers may run the models, because the registry has the runtime for them."""
    results: str | None = None
    """The root URL or the folder for results if there is no inbox; a missing folder is created."""


Deliver = Callable[[str], None]


@contextmanager
def serve(cloud: str, settings: LocalSettings, log: Path | None = None) -> Iterator[str]:
    """Run one cloud's functions while the context lasts, and yield their URL as soon as they answer.

    Without a log the functions' output goes to the error stream.

    Raises:
        UsageError: The settings contradict each other.
        MachineError: The port is taken, or the function does not start.
    """
    if cloud not in CLOUDS:
        raise UsageError(f"cloud {cloud!r}: expected one of {', '.join(CLOUDS)}")
    _, start_objects, bucket_environment, scheme = CLOUDS[cloud]
    environment = {"ONNXLET_REGISTRY": settings.registry, "ONNXLET_EDGE": str(int(settings.edge))}
    if settings.model is not None:
        environment["ONNXLET_MODEL"] = settings.model
    if settings.results is not None:
        environment["ONNXLET_RESULTS"] = _prepare_results(settings.results)
    with ExitStack() as stack:
        output = None
        if log is not None:
            log.parent.mkdir(parents=True, exist_ok=True)
            output = stack.enter_context(log.open("wb"))
        environment |= stack.enter_context(_google_token(settings))
        if settings.inbox is not None:
            outbox = _prepare_inbox(settings.inbox, settings, scheme)
            environment |= bucket_environment(stack.enter_context(serve_bucket(settings.inbox)))
            environment |= {"ONNXLET_INPUTS": f"{scheme}{NAME}", "ONNXLET_RESULTS": outbox.absolute().as_uri()}
            deliver = stack.enter_context(start_objects(settings.inbox, environment, output))
            stack.enter_context(inbox.watching(settings.inbox, deliver))
        url = stack.enter_context(serve_http(cloud, environment, output, settings.port))
        _await_ready(url)
        yield url


def serve_http(
    cloud: str, environment: dict[str, str], log: IO[bytes] | None = None, port: int = 0
) -> AbstractContextManager[str]:
    """Run a cloud's HTTP function with nothing but these variables while the context lasts, and yield its URL."""
    start, *_ = CLOUDS[cloud]
    return start(environment, port, log)


@contextmanager
def _google_token(settings: LocalSettings) -> Iterator[dict[str, str]]:
    """Give functions on Cloud Storage the user's own credentials, and yield the variables that do so."""
    places = [place for place in (settings.registry, settings.results) if place and place.startswith("gs://")]
    identity = storage_of(places[0]).gcs_credentials if places else None
    if not isinstance(identity, Identity):
        yield {}
        return
    with token_file(identity) as variables:
        yield variables


def wait() -> None:
    """Wait until the user stops the command."""
    with suppress(KeyboardInterrupt):
        threading.Event().wait()


@contextmanager
def _serve_aws_http(environment: dict[str, str], port: int, log: IO[bytes] | None) -> Iterator[str]:
    with (
        LambdaFunction("main.aws_http", environment, log) as function,
        serve_function_url(function.invoke, port) as url,
    ):
        yield url


@contextmanager
def _serve_aws_objects(folder: Path, environment: dict[str, str], log: IO[bytes] | None) -> Iterator[Deliver]:
    with LambdaFunction("main.aws_objects", environment, log) as function:
        yield lambda key: function.invoke(inbox.s3_notification(folder, key))


def _serve_gcp_http(environment: dict[str, str], port: int, log: IO[bytes] | None) -> AbstractContextManager[str]:
    return serve_cloud_function("gcp_http", environment, port, log)


@contextmanager
def _serve_gcp_objects(folder: Path, environment: dict[str, str], log: IO[bytes] | None) -> Iterator[Deliver]:
    with serve_cloud_function("gcp_objects", environment, log=log) as url:
        yield lambda key: _post(url, *inbox.storage_cloud_event(folder, key))


def _s3_environment(endpoint: str) -> dict[str, str]:
    """Return the variables that make a function use an endpoint as S3."""
    credentials = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local", "AWS_REGION": "us-east-1"}
    return {**credentials, "AWS_ENDPOINT_URL_S3": endpoint}


def _gcs_environment(endpoint: str) -> dict[str, str]:
    """Return the variables that make a function use an endpoint as Cloud Storage."""
    return {"STORAGE_EMULATOR_HOST": endpoint}


CLOUDS = {
    "aws": (_serve_aws_http, _serve_aws_objects, _s3_environment, "s3://"),
    "gcp": (_serve_gcp_http, _serve_gcp_objects, _gcs_environment, "gs://"),
}


def _prepare_results(place: str) -> str:
    """Return the root URL for results, from a URL or a folder."""
    try:
        return open_place(place, create=True).url
    except (CommandError, OnnxletError, OSError) as error:
        raise MachineError(f"ONNXLET_RESULTS={place}: cannot be opened: {error}") from error


def _prepare_inbox(folder: Path, settings: LocalSettings, scheme: str) -> Path:
    """Create the inbox and the outbox, refuse settings that cannot work, and return the outbox."""
    outbox = settings.outbox or folder.absolute().parent / "outbox"
    if settings.model is None:
        raise UsageError("--inbox: object events need a model, expected --model NAME")
    if settings.registry.startswith(scheme):
        # This scheme's endpoint is the inbox.
        raise UsageError(f"--inbox: expected a registry that is not {scheme}, got {settings.registry}")
    if outbox.resolve().is_relative_to(folder.resolve()):
        raise UsageError(f"--outbox: expected a folder outside the inbox {folder}, got {outbox}")
    for path in (folder, outbox):
        path.mkdir(parents=True, exist_ok=True)
    return outbox


def _await_ready(url: str) -> None:
    """Wait until the function responds; an error, as for a missing model, is a response too."""
    deadline = time.monotonic() + READY_TIMEOUT_S
    while True:
        try:
            with urllib.request.urlopen(f"{url}/v2/health/ready", timeout=READY_TIMEOUT_S):  # noqa: S310 - loopback
                return
        except urllib.error.HTTPError as error:
            if error.code != 502:
                return
            raise MachineError(f"{url}: the function does not start; its log says why") from error
        except OSError as error:
            if time.monotonic() > deadline:
                raise MachineError(f"{url}: no answer within {READY_TIMEOUT_S} s") from error
            time.sleep(0.05)


def _post(url: str, headers: dict[str, str], body: bytes) -> None:
    request = urllib.request.Request(url, body, headers)  # noqa: S310 - an address of this machine
    with urllib.request.urlopen(request, timeout=EVENT_TIMEOUT_S):  # noqa: S310 - as above
        pass
