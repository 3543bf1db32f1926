from pathlib import Path

import pytest

from onnxlet_cli.deploy.cloud import NotCalled, Options
from onnxlet_cli.deploy.gcp.cloud import Gcp
from onnxlet_cli.http_client import Response
from onnxlet_cli.local.http import Handler, serving
from tests.helpers.gcp_deployment import deployed, gcp
from tests.helpers.http_recorder import Recorder


def test_a_request_has_an_identity_token(root: Path, http: Recorder) -> None:
    cloud = gcp(root)
    reply = cloud.send(deployed(cloud).outputs, "/v2/health/live", None, {})
    assert isinstance(reply, Response)
    assert reply.status == 200
    assert http.requests[0][2]["authorization"] == "Bearer a-token"


def test_without_gcloud_nobody_is_asked(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cloud = gcp(root)
    outputs = deployed(cloud).outputs
    monkeypatch.setenv("PATH", str(root / "none"))
    found = cloud.send(outputs, "/v2/health/live", None, {})
    assert found == NotCalled("this machine has no identity token (gcloud is not there, or not logged in)")


def test_what_everybody_may_call_is_asked_without_a_token(
    root: Path, http: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud = gcp(root, auth="none")
    outputs = deployed(cloud).outputs
    monkeypatch.setenv("PATH", str(root / "none"))
    assert isinstance(cloud.send(outputs, "/v2/health/live", None, {}), Response)
    assert "authorization" not in http.requests[0][2]


@pytest.mark.parametrize(
    ("ingress", "status", "kind", "body", "is_kept_out"),
    [
        ("ALLOW_INTERNAL_AND_GCLB", 404, "text/html; charset=UTF-8", b"<title>Error: Page not found</title>", True),
        ("ALLOW_INTERNAL_ONLY", 403, "text/html; charset=UTF-8", b"<h2>Access is forbidden.</h2>", True),
        (
            "ALLOW_INTERNAL_ONLY",
            403,
            "text/html; charset=UTF-8",
            b"<h2>Your client may not</h2>",
            False,
        ),
        ("ALLOW_INTERNAL_ONLY", 404, "application/json", b"{}", False),
        ("ALLOW_ALL", 404, "text/html; charset=UTF-8", b"<title>Error: Page not found</title>", False),
    ],
)
def test_a_machine_that_the_ingress_setting_keeps_out_is_no_caller(
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    ingress: str,
    status: int,
    kind: str,
    body: bytes,
    is_kept_out: bool,
) -> None:
    class Refusing(Handler):
        def do_GET(self) -> None:
            self.reply(status, body, {"content-type": kind})

    with serving(Refusing) as url:
        monkeypatch.setenv("HTTP_URL", url)
        cloud = Gcp(Options("shop", "europe-west1", "project-1", others={"ingress": ingress}), root)
        found = cloud.send(deployed(cloud).outputs, "/v2/health/live", None, {})
    if is_kept_out:
        assert found == NotCalled(f"ingress {ingress} keeps requests from this machine out (status {status})")
    else:
        assert isinstance(found, Response)
        assert found.status == status


def test_the_deployment_asks_its_function_even_where_an_aws_of_ones_own_is_set(
    root: Path, http: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    cloud = gcp(root)
    assert cloud.send(deployed(cloud).outputs, "/v2/health/live", None, {}) is not None
    assert http.requests[0][1] == "/v2/health/live"
