import socket
import time
from collections.abc import Iterator

import pytest

from onnxlet_cli import http_client
from onnxlet_cli.errors import ServiceError
from onnxlet_cli.local.http import Handler, serving


class Server(Handler):
    """Answers each path differently, and tells the method and the body."""

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        if self.path == "/moved":
            self.reply(303, b"moved", {"Location": "/new"})
        elif self.path == "/slow":
            time.sleep(0.5)
        else:
            status = 404 if self.path == "/missing" else 200
            text = f"{self.command} {body.decode()} {self.headers.get('x-name')}"
            self.reply(status, text.encode(), {"X-Answer": "yes"})

    do_POST = do_HEAD = do_GET


@pytest.fixture
def url() -> Iterator[str]:
    with serving(Server) as found:
        yield found


def test_a_request_is_a_get_or_with_a_body_a_post(url: str) -> None:
    assert http_client.send(url, headers={"x-name": "a"}).body == b"GET  a"
    assert http_client.send(url, b"body").body == b"POST body None"
    assert http_client.send(url, method="HEAD").body == b""


def test_every_status_is_a_response_with_lower_case_headers(url: str) -> None:
    response = http_client.send(f"{url}/missing")
    assert (response.status, response.headers["x-answer"]) == (404, "yes")


def test_a_redirect_is_followed_only_if_the_caller_wants_it(url: str) -> None:
    response = http_client.send(f"{url}/moved", headers={"authorization": "secret"})
    assert (response.status, response.body, response.headers["location"]) == (303, b"moved", "/new")
    assert http_client.send(f"{url}/moved", follows_redirects=True).status == 200


def test_without_a_response_the_error_names_the_url_and_keeps_the_cause(url: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{free.getsockname()[1]}/v2"
    for unreached, cause in ((closed, ConnectionRefusedError), ("http://nowhere.invalid/", socket.gaierror)):
        with pytest.raises(ServiceError, match="no response") as error:
            http_client.send(unreached)
        assert (error.value.url, error.value.status, error.value.is_retryable) == (unreached, None, True)
        assert isinstance(error.value.__cause__, cause)
    with pytest.raises(ServiceError) as error:
        http_client.send(f"{url}/slow", timeout_s=0.05)
    assert isinstance(error.value.__cause__, TimeoutError)
