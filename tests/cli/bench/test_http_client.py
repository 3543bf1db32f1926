import pytest

from onnxlet_cli.bench.http_client import Client
from onnxlet_cli.errors import WrongAnswerError
from onnxlet_cli.local.http import Handler, serving


class Echo(Handler):
    """A server that sends each body back, with a status that its first byte chooses."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.reply(404 if body.startswith(b"?") else 200, body, {"X-Kind": "echo"})


def test_a_response_has_lower_case_headers_and_its_body() -> None:
    with serving(Echo) as url:
        client = Client(url)
        headers, body = client.post("/", b"hello", {})
        assert (headers["x-kind"], body) == ("echo", b"hello")
        assert len(client.seconds("/", b"hello", {}, 3)) == 3


def test_another_status_is_a_wrong_answer() -> None:
    with serving(Echo) as url, pytest.raises(WrongAnswerError, match="expected status 200, got 404"):
        Client(url).post("/", b"?", {})
