import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from onnxlet_cli.local.lambda_function import LambdaFunction
from onnxlet_cli.local.runtime_api import FunctionError
from tests.helpers.lambda_runtimes import Function, Start


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lambda") / "log"


@pytest.fixture(scope="module")
def function(start_function: Start, log: Path) -> Iterator[Function]:
    environment = {"ONNXLET_REGISTRY": "memory://empty"}
    with log.open("wb") as file, start_function("main.aws_http", environment, file) as found:
        yield found


def event(path: str = "/v2") -> dict[str, object]:
    return {"rawPath": path, "requestContext": {"http": {"method": "GET"}}}


def test_an_event_gets_the_functions_result(function: Function) -> None:
    assert function.invoke(event())["statusCode"] == 200
    assert function.invoke(event("/nope"))["statusCode"] == 404


def test_an_event_of_another_kind_gets_a_4xx(function: Function) -> None:
    assert function.invoke({"Records": []})["statusCode"] == 400
    assert function.invoke([])["statusCode"] == 400


def test_after_its_process_was_killed_the_next_event_gets_a_new_one(log: Path) -> None:
    environment = {"ONNXLET_REGISTRY": "memory://empty"}
    with log.open("wb") as file, LambdaFunction("main.aws_http", environment, file) as function:
        function.invoke(event())
        assert function._process is not None
        function._process.kill()
        function._process.wait()
        assert function.invoke(event())["statusCode"] == 200


def test_a_handler_that_raises_is_an_error_that_says_why(start_function: Start, log: Path) -> None:
    environment = {"ONNXLET_REGISTRY": f"memory://{uuid.uuid4()}"}
    with log.open("wb") as file, start_function("main.aws_objects", environment, file) as function:
        with pytest.raises(FunctionError, match="SettingsError: ONNXLET_RESULTS"):
            function.invoke({"Records": [{"s3": {"bucket": {"name": "b"}, "object": {"key": "k"}}}]})
        assert function.invoke({"Event": "s3:TestEvent"}) == {"batchItemFailures": []}


def test_a_function_that_does_not_start_is_an_error_that_says_why(start_function: Start, log: Path) -> None:
    with (
        log.open("wb") as file,
        start_function("main.aws_http", {}, file) as function,
        pytest.raises(FunctionError, match="ONNXLET_REGISTRY"),
    ):
        function.invoke(event())
