import pytest

from onnxlet_cli.doctor import unreached
from onnxlet_cli.doctor.unreached import Unreached
from onnxlet_cli.http_client import Response
from onnxlet_cli.local.http import Handler, serving


class Server(Handler):
    def do_GET(self) -> None:
        self.reply(503, b"not now", {})


@pytest.mark.parametrize(
    ("url", "code"),
    [("http://127.0.0.1:9/", "url_unreachable"), ("http://nowhere.invalid/", "url_unknown_host")],
)
def test_each_reason_has_its_code_and_a_remedy(url: str, code: str) -> None:
    reason = unreached.send(url)
    assert isinstance(reason, Unreached)
    finding = reason.finding(url)
    assert (finding.severity, finding.code, finding.where) == ("error", code, url)
    assert finding.remedy


def test_tls_with_a_server_without_it_is_named() -> None:
    with serving(Server) as url:
        reason = unreached.send(url.replace("http://", "https://"))
    assert isinstance(reason, Unreached)
    assert reason.code == "url_tls"


def test_every_status_is_a_response() -> None:
    with serving(Server) as url:
        response = unreached.send(url)
    assert isinstance(response, Response)
    assert (response.status, response.body) == (503, b"not now")
