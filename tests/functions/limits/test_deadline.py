import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from onnxlet.contract.artifact import Artifact
from onnxlet.errors import DeadlineError
from onnxlet.events import objects
from onnxlet.events.messages import Inline, Message
from onnxlet.http import Request, Response
from onnxlet.limits import deadline
from onnxlet.registry.artifacts import Fetch
from onnxlet.registry.registry import Registry
from onnxlet.settings import Settings
from onnxlet.storage import Store, open_store
from onnxlet.web.app import App
from onnxlet_cli.local.function_url import serve_function_url
from onnxlet_cli.local.lambda_function import LambdaFunction
from onnxlet_publishing.publish import publish
from tests.helpers import graphs
from tests.test_clouds import png

LONG = 10**12


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    url = tmp_path_factory.mktemp("deadline").as_uri()
    registry = Registry(open_store(url))
    publish(registry, graphs.candidate("loop", graphs.loop()))
    publish(registry, graphs.digits_candidate())
    publish(registry, graphs.char_candidate())
    return url


@pytest.fixture
def app(root: str) -> App:
    return App(Settings(root, model="digits", refresh_s=1e6), write_line=lambda _line: None)


def infer(app: App, number: int, remaining_s: float | None) -> Response:
    tensor = {"name": "n", "datatype": "INT64", "shape": [], "data": [number]}
    body = json.dumps({"inputs": [tensor]}).encode()
    return app.handle(Request("POST", "/v2/models/loop/infer", body), remaining_s=remaining_s)


class TestRequests:
    def test_a_failure_in_time_is_the_failure_that_it_is(self, app: App) -> None:
        tensor = {"name": "n", "datatype": "INT64", "shape": [2], "data": [1, 2]}
        body = json.dumps({"inputs": [tensor]}).encode()
        assert app.handle(Request("POST", "/v2/models/loop/infer", body), remaining_s=60).status == 400

    def test_what_cannot_end_in_time_is_a_504_with_its_code(self, app: App) -> None:
        response = infer(app, LONG, 1.0)
        assert response.status == 504
        assert json.loads(response.body)["code"] == "deadline_exceeded"
        assert infer(app, 3, 60).status == 200

    def test_where_the_platform_says_nothing_the_settings_do(self, root: str) -> None:
        app = App(Settings(root, timeout_s=1.5), write_line=lambda _line: None)
        assert infer(app, LONG, None).status == 504

    def test_a_generation_ends_between_two_tokens(self, app: App) -> None:
        body = json.dumps({"text_input": "a", "length": 1024}).encode()
        request = Request("POST", "/v2/models/char/generate", body)
        assert app.handle(request, remaining_s=60).status == 200, "and loads the model"
        assert app.handle(request, remaining_s=0.51).status == 504

    def test_the_deadline_of_a_request_is_not_that_of_the_next(self, app: App) -> None:
        assert infer(app, 1, 0.1).status == 504
        assert not deadline.is_set()
        assert infer(app, 1, None).status == 200


class SlowStore(Store):
    """A store that answers after a while, or never."""

    def __init__(self, url: str, after: threading.Event) -> None:
        super().__init__(url, open_store(url).backend)
        self.after = after

    def chunks(self, key: str, within: tuple[int, int] | None = None) -> Iterator[memoryview]:
        self.after.wait(60)
        return super().chunks(key, within)


@pytest.fixture
def after() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


class TestWaiting:
    def test_a_fetch_is_waited_for_no_longer(self, root: str, after: threading.Event) -> None:
        artifact = Artifact.of("model", "fp32", b"bytes")
        fetch = Fetch(SlowStore(root, after), artifact.blob)
        with deadline.within(0.2), pytest.raises(DeadlineError):
            fetch.result(artifact)

    def test_a_lock_is_waited_for_no_longer(self) -> None:
        lock = threading.Lock()
        with lock, deadline.within(0.1), pytest.raises(DeadlineError), deadline.locked(lock):
            pytest.fail("two hold it")
        with deadline.within(0.1), deadline.locked(lock):
            assert lock.locked()
        assert not lock.locked()

    def test_the_network_is_waited_for_no_longer(self, after: threading.Event) -> None:
        with deadline.within(0.1), pytest.raises(DeadlineError):
            deadline.bounded(after.wait)(60)

    def test_what_is_waited_for_gives_what_it_gave(self) -> None:
        def divide(one: float, other: float) -> float:
            assert not deadline.is_set(), "it ends by itself"
            return one / other

        with deadline.within(60):
            assert deadline.bounded(divide)(1, other=2) == 0.5
            with pytest.raises(ZeroDivisionError):
                deadline.bounded(divide)(1, 0)

    def test_an_inner_deadline_is_never_later_than_the_outer_one(self) -> None:
        with deadline.within(1), deadline.within(60):
            assert deadline.remaining_s() <= 1
        with deadline.within(1), deadline.within(None):
            assert deadline.is_set()
        assert deadline.remaining_s() == deadline.NEVER


class TestEvents:
    def test_what_is_ready_is_written_and_the_rest_is_delivered_again(self, root: str, tmp_path: Path) -> None:
        results = tmp_path.as_uri()
        app = App(Settings(root, model="loop", results=results), write_line=lambda _line: None)
        app.warm_up()
        messages = [message("short", 3), message("long", LONG)]
        failed = objects.answer(app.service, messages, lambda _line: None, remaining_s=3.0)
        assert failed == ["long"]
        (key,) = open_store(results).keys("")
        assert json.loads(open_store(results).read(key).data)["predictions"] == [3]

    def test_no_time_at_all_fails_every_message_and_leaves_no_result(self, root: str, tmp_path: Path) -> None:
        app = App(Settings(root, model="digits", results=tmp_path.as_uri()), write_line=lambda _line: None)
        source = Inline("x", "x", png(), "image/png")
        assert objects.answer(app.service, [Message("1", (source,))], lambda _line: None, remaining_s=0.1) == ["1"]
        assert list(open_store(tmp_path.as_uri()).keys("")) == []


def message(name: str, number: int) -> Message:
    return Message(name, (Inline(name, name, json.dumps([number]).encode(), "application/json"),))


def test_lambda_gets_its_504_before_it_ends_the_function(root: str, tmp_path: Path) -> None:
    environment = {"ONNXLET_REGISTRY": root, "ONNXLET_MODEL": "loop"}
    with (tmp_path / "log").open("wb") as log, LambdaFunction("main.aws_http", environment, log) as function:
        answers: list[int] = []

        def invoke(event: object) -> object:
            answer = function.invoke(event, 8.0 if answers else 60.0)
            answers.append(answer["statusCode"])
            return answer

        with serve_function_url(invoke) as url:
            for number in (1, LONG, 2):
                post(f"{url}/v2/models/loop/infer", number)
    assert answers == [200, 504, 200]


def post(url: str, number: int) -> None:
    import http.client
    from urllib.parse import urlsplit

    tensor = {"name": "n", "datatype": "INT64", "shape": [], "data": [number]}
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=120)
    headers = {"content-type": "application/json"}
    connection.request("POST", urlsplit(url).path, json.dumps({"inputs": [tensor]}), headers)
    connection.getresponse().read()
    connection.close()


def test_a_call_in_the_background_gives_its_result_or_its_error_when_it_is_wanted() -> None:
    begun = threading.Event()
    call = deadline.Background(lambda: begun.wait(5) and 7)
    begun.set()
    assert call.result() == 7
    failed = deadline.Background(lambda: dict[str, str]()["a"])
    with pytest.raises(KeyError):
        failed.result()


def test_a_call_in_the_background_is_waited_for_until_the_deadline() -> None:
    ended = threading.Event()
    call = deadline.Background(lambda: ended.wait(5))
    with deadline.within(0.05), pytest.raises(DeadlineError):
        call.result()
    ended.set()
    assert call.result() is True
