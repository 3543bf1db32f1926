"""Functions that are frozen for longer than their connections and credentials live: what comes first then is answered.

Lambda and Cloud Run freeze a function between two requests; the clocks go on. An environment of Lambda has its
credentials for its life, but for one that was restored from a snapshot: that asks an endpoint beside it for them, as
these functions do. What obstore has of them it uses until they have five minutes left.
"""

import json
import os
import signal
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from onnxlet.registry.registry import Registry
from onnxlet.storage import STALL_S, open_store
from onnxlet_cli.assets import functions_folder
from onnxlet_cli.local.cloud_function import serve_cloud_function
from onnxlet_cli.local.function_url import serve_function_url
from onnxlet_cli.local.http import Handler, serving
from onnxlet_cli.local.lambda_function import LambdaFunction
from onnxlet_publishing.publish import publish
from tests.conftest import BUCKET
from tests.crashes.front import DEATHS, Death, Front
from tests.crashes.functions import post, s3_event, send_signal
from tests.helpers import graphs
from tests.test_clouds import png

LONGEST_S = 29
"""How long API Gateway waits for an answer; a dead connection that is waited for until obstore gives up takes 30."""

UNUSED_S = 300
"""Before their end, credentials are no longer used."""

LEFT_S = 2
"""Of the time in which they are, when they are given out."""


@dataclass
class Credentials:
    """The endpoint beside a restored function."""

    given: list[str] = field(default_factory=list)
    """The session tokens."""

    @contextmanager
    def serving(self) -> Iterator[dict[str, str]]:
        """Serve it; gives the variables that lead there."""
        credentials = self

        class Endpoint(Handler):
            def do_GET(self) -> None:
                token = f"session-{len(credentials.given)}"
                credentials.given.append(token)
                expiration = datetime.now(UTC) + timedelta(seconds=UNUSED_S + LEFT_S)
                document = {
                    "AccessKeyId": "key",
                    "SecretAccessKey": "secret",
                    "Token": token,
                    "Expiration": expiration.isoformat(),
                }
                self.reply(200, json.dumps(document).encode(), {"content-type": "application/json"})

        with serving(Endpoint) as url:
            yield {
                "AWS_ACCESS_KEY_ID": "",
                "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{url}/credentials",
                "AWS_CONTAINER_AUTHORIZATION_TOKEN": "opens-it",
            }


class Functions:
    """Two functions of Lambda's, one for HTTP and one for objects, and what is around them."""

    def __init__(self, front: Front, credentials: Credentials, root: str) -> None:
        self.front = front
        self.credentials = credentials
        self.root = root
        self.bucket = open_store(f"s3://{BUCKET}", front.storage)
        self.registry = Registry(open_store(f"s3://{BUCKET}/{root}/registry", front.storage))

    @contextmanager
    def running(self, log: Path) -> Iterator[None]:
        environment = {
            "ONNXLET_REGISTRY": self.registry.store.url,
            "ONNXLET_MODEL": "digits",
            "ONNXLET_REFRESH_S": "0",
            "ONNXLET_INPUTS": f"s3://{BUCKET}/{self.root}/in",
            "ONNXLET_RESULTS": f"s3://{BUCKET}/{self.root}/out",
        }
        with (
            self.front.serving() as endpoint,
            self.credentials.serving() as variables,
            log.open("wb") as file,
            LambdaFunction(
                "main.aws_http", environment | variables | {"AWS_ENDPOINT_URL": endpoint}, file
            ) as self.http,
            LambdaFunction(
                "main.aws_objects", environment | variables | {"AWS_ENDPOINT_URL": endpoint}, file
            ) as self.objects,
            serve_function_url(self.http.invoke) as self.url,
        ):
            yield

    def answers(self) -> list[int]:
        """The versions that answer a request, one for an object that it names, and an event."""
        name = str(uuid.uuid4())
        key = f"{self.root}/in/{name}.png"
        self.bucket.put_if_absent(key, png())
        reference = json.dumps({"image_path": f"s3://{BUCKET}/{key}"}).encode()
        bodies = ((png(), "image/png"), (reference, "application/json"))
        found = [json.loads(post(f"{self.url}/predict/digits", *body)[1]) for body in bodies]
        self.objects.invoke(s3_event(key))
        (result,) = (each for each in self.bucket.keys(f"{self.root}/out") if name in each)
        found.append(json.loads(self.bucket.read(result).data))
        return [each.get("version", each) for each in found]

    @contextmanager
    def frozen(self) -> Iterator[None]:
        for function in (self.http, self.objects):
            send_signal(function, signal.SIGSTOP)
        yield
        for function in (self.http, self.objects):
            send_signal(function, signal.SIGCONT)


def check_thaw(functions: Functions, death: Death, frozen_s: float) -> None:
    """Let connections die while the functions are frozen, and credentials too, and publish; then ask."""
    with functions.frozen():
        functions.front.kill_connections(death)
        if frozen_s > LEFT_S:
            functions.front.refused_tokens.update(functions.credentials.given)
        version = publish(functions.registry, graphs.digits_candidate(seed=len(functions.front.requests))).version
        time.sleep(frozen_s)
    started_s = time.monotonic()
    assert functions.answers() == [version] * 3
    assert time.monotonic() - started_s < LONGEST_S


def test_the_first_request_after_a_thaw_is_answered(tmp_path: Path, s3_endpoint: str) -> None:
    functions = Functions(Front(s3_endpoint), Credentials(), str(uuid.uuid4()))
    publish(functions.registry, graphs.digits_candidate())
    with functions.running(tmp_path / "log"):
        assert functions.answers() == [1, 1, 1]
        check_thaw(functions, "closed", 0.1)
        check_thaw(functions, "reset", 0.1)
        check_thaw(functions, "forgotten", LEFT_S + 0.5)
        assert len(functions.credentials.given) > len(functions.front.refused_tokens) > 0


@pytest.mark.faults
@pytest.mark.parametrize("death", DEATHS)
def test_however_long_it_was_frozen_and_however_its_connections_died(
    tmp_path: Path, s3_endpoint: str, death: Death
) -> None:
    functions = Functions(Front(s3_endpoint), Credentials(), str(uuid.uuid4()))
    publish(functions.registry, graphs.digits_candidate())
    with functions.running(tmp_path / "log"):
        assert functions.answers() == [1, 1, 1]
        for frozen_s in (0.1, 1, LEFT_S + 1, STALL_S - 0.5, STALL_S + 0.5, 2 * STALL_S):
            check_thaw(functions, death, frozen_s)


@pytest.mark.faults
@pytest.mark.parametrize("death", DEATHS)
def test_a_cloud_function_answers_after_a_thaw_too(tmp_path: Path, gcs_endpoint: str, death: Death) -> None:
    """As functions-framework runs by itself: with CLOUD_RUN_TIMEOUT_SECONDS gunicorn takes a frozen worker for hung.

    It kills the worker when both are thawed, at times with the first request (python-docs-samples PR #3229).
    """
    front = Front(gcs_endpoint)
    registry = Registry(open_store(f"gs://{BUCKET}/{uuid.uuid4()}", front.storage))
    publish(registry, graphs.digits_candidate())
    environment = {"ONNXLET_REGISTRY": registry.store.url, "ONNXLET_MODEL": "digits", "ONNXLET_REFRESH_S": "0"}
    log = tmp_path / "log"
    with front.serving() as endpoint, log.open("wb") as file:
        environment["STORAGE_EMULATOR_HOST"] = endpoint
        with serve_cloud_function("gcp_http", environment, log=file) as url:
            (group,) = groups_of_functions()
            assert json.loads(post(f"{url}/predict/digits", png(), "image/png")[1])["version"] == 1
            for frozen_s in (0.1, STALL_S - 0.5, STALL_S + 0.5):
                os.killpg(group, signal.SIGSTOP)
                front.kill_connections(death)
                version = publish(registry, graphs.digits_candidate(len(front.requests))).version
                time.sleep(frozen_s)
                os.killpg(group, signal.SIGCONT)
                started_s = time.monotonic()
                status, body = post(f"{url}/predict/digits", png(), "image/png")
                assert (status, json.loads(body)["version"]) == (200, version)
                assert time.monotonic() - started_s < LONGEST_S


def groups_of_functions() -> set[int]:
    """The process groups of our children that run functions: by their folder, for gunicorn may change its name."""
    children = Path(f"/proc/{os.getpid()}/task").glob("*/children")
    found = [int(child) for path in children for child in path.read_text().split()]
    return {os.getpgid(child) for child in found if Path(f"/proc/{child}/cwd").readlink() == functions_folder()}
