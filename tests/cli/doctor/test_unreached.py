from collections.abc import Iterator

import pytest

from onnxlet_cli import http_client
from onnxlet_cli.doctor.finding import Finding, ok
from onnxlet_cli.doctor.unreached import explained
from onnxlet_cli.local.http import Handler, serving


class Server(Handler):
    def do_GET(self) -> None:
        self.reply(503, b"not now", {})


def statuses(url: str) -> Iterator[Finding]:
    yield ok("url", url, str(http_client.send(url).status))


@pytest.mark.parametrize(
    ("url", "code"),
    [("http://127.0.0.1:9/", "url_unreachable"), ("http://nowhere.invalid/", "url_unknown_host")],
)
def test_each_reason_has_its_code_and_a_remedy(url: str, code: str) -> None:
    (finding,) = explained(statuses(url), "there")
    assert (finding.severity, finding.code, finding.where) == ("error", code, "there")
    assert finding.remedy


def test_tls_with_a_server_without_it_is_named() -> None:
    with serving(Server) as url:
        (finding,) = explained(statuses(url.replace("http://", "https://")), url)
    assert finding.code == "url_tls"


def test_every_status_is_a_response() -> None:
    with serving(Server) as url:
        (finding,) = explained(statuses(url), url)
    assert finding.found == "503"
