import json
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from onnxlet.clouds import aws_http
from onnxlet.contract import api_keys, layout
from onnxlet.contract.api_keys import Key, Keys
from onnxlet.registry.registry import Registry
from onnxlet.settings import Settings
from onnxlet.storage import open_store
from onnxlet.web.app import App
from onnxlet_cli.doctor.function import examine
from onnxlet_cli.local.function_url import serve_function_url
from onnxlet_cli.local.http import HOST, Handler, serving
from onnxlet_cli.local.runtime_api import FunctionError
from onnxlet_publishing.publish import publish
from tests.cli.doctor.test_registry import free_port
from tests.helpers import graphs
from tests.helpers.damage import damage
from tests.helpers.findings import one, only, wrong


@contextmanager
def function(
    folder: Path, model: str | None = "digits", refresh_s: float = 0, *, requires_keys: bool = False
) -> Iterator[str]:
    """A function behind a Function URL, which reads the registry in a folder."""
    settings = Settings(folder.as_uri(), model, refresh_s=refresh_s, requires_keys=requires_keys)
    app = App(settings, write_line=lambda _line: None)

    def invoke(event: Any) -> Any:
        return aws_http.from_response(app.handle(event, aws_http.to_request), event)

    with serve_function_url(invoke) as url:
        yield url


@contextmanager
def answering(status: int, body: bytes = b"", seconds: float = 0, **headers: str) -> Iterator[str]:
    """Something that answers everything the same, at another time."""

    class Same(Handler):
        def do_GET(self) -> None:
            self.reply(status, body, {"content-type": "application/json", **headers})

        def date_time_string(self, timestamp: float | None = None) -> str:
            return super().date_time_string((timestamp or time.time()) + seconds)

    with serving(Same) as url:
        yield url


def created_key(registry: Registry) -> str:
    """A key that the functions of a registry let in."""
    key_id, text = api_keys.generate()
    key = Key(key_id, "Ada", api_keys.digest(text), datetime.now(UTC))
    registry.store.put_if_absent(layout.API_KEYS_DOCUMENT, Keys([key]).to_json())
    return text


PASSED = ("content-type", "inference-header-content-length")


@contextmanager
def signed_gate(backend: str, *, accepts: bool = True) -> Iterator[str]:
    """A Function URL that asks for IAM's signature before another one answers."""

    class Gate(Handler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", "0")))
            scope = self.headers.get("authorization", "")
            if not accepts or not scope.startswith("AWS4-HMAC-SHA256 ") or "/lambda/aws4_request" not in scope:
                self.reply(403, b'{"Message":"Forbidden"}', {"content-type": "application/json"})
                return
            kept = {name: value for name, value in self.headers.items() if name.lower() != "host"}
            request = urllib.request.Request(f"{backend}{self.path}", body or None, kept, method=self.command)
            with urllib.request.urlopen(request) as reply:
                self.reply(
                    reply.status, reply.read(), {name: reply.headers[name] for name in PASSED if name in reply.headers}
                )

        do_POST = do_GET

    with serving(Gate) as url:
        yield url


class TestInOrder:
    def test_a_function_in_order_has_no_finding(self, folder: Path, registry: Registry) -> None:
        with function(folder) as url:
            found = list(examine(url, registry))
        assert wrong(found) == []
        assert [finding.code for finding in found] == ["clock", "url", "function_ready", "function_model", "golden"]

    def test_without_a_registry_nothing_golden_is_asked(self, folder: Path) -> None:
        with function(folder) as url:
            found = list(examine(f"{url}/"))
        assert wrong(found) == []
        assert "golden" not in {finding.code for finding in found}
        one(found, "ok", "function_model", "digits", "version 2")


class TestAnswers:
    def test_a_golden_request_that_answers_differently_is_named(self, registry: Registry, tmp_path: Path) -> None:
        other = tmp_path / "other"
        for seed in (2, 3):
            publish(Registry(open_store(other.as_uri(), create=True)), graphs.digits_candidate(seed))
        with function(other) as url:
            found = wrong(examine(url, registry))
        only(found, "error", "golden_differs", "digits version 2", "ONNXLET_REGISTRY", registry.store.url)

    def test_random_numbers_are_not_compared(self, tmp_path: Path) -> None:
        registry = Registry(open_store(tmp_path.as_uri(), create=True))
        publish(registry, graphs.candidate("noise", graphs.noise()))
        with function(tmp_path, "noise") as url:
            found = list(examine(url, registry))
        assert wrong(found) == []
        one(found, "ok", "golden", "y not compared, since the model draws random numbers")

    def test_a_version_that_live_does_not_name_is_named(self, folder: Path, registry: Registry) -> None:
        with function(folder, refresh_s=10**9) as url:
            assert wrong(examine(url, registry)) == []
            registry.rollback("digits")
            found = list(examine(url, registry))
        words = ("version 2", "expected version 1", "ONNXLET_REFRESH_S")
        only(found, "warning", "function_version", *words)
        one(found, "ok", "golden", "digits version 2")

    def test_a_live_version_that_cannot_be_loaded_is_named(self, folder: Path, registry: Registry) -> None:
        with function(folder) as url:
            assert wrong(examine(url)) == []
            damage(folder, publish(registry, graphs.digits_candidate(2)))
            only(examine(url), "warning", "function_stale", "SHA-256", "onnxlet doctor REGISTRY")

    def test_a_registry_that_is_not_the_function_s_is_named(self, folder: Path, tmp_path: Path) -> None:
        fewer = Registry(open_store((tmp_path / "fewer").as_uri(), create=True))
        publish(fewer, graphs.digits_candidate(0))
        with function(folder) as url:
            one(examine(url, fewer), "error", "function_registry", "version 2", "ONNXLET_REGISTRY")

    def test_a_model_that_the_function_does_not_have_is_named(self, registry: Registry, tmp_path: Path) -> None:
        empty = tmp_path / "empty"
        empty.mkdir()
        with function(empty, model=None) as url:
            only(examine(url, registry), "error", "function_model", 'model "digits"', "publish the model")

    def test_a_default_model_that_does_not_load_is_named_with_its_remedy(self, folder: Path) -> None:
        with function(folder, model="none") as url:
            found = list(examine(url))
        only(found, "error", "function_not_ready", '503: model "none"', "correct ONNXLET_MODEL")


class TestAccess:
    def test_a_signature_is_made_where_it_is_asked_for(self, folder: Path, registry: Registry) -> None:
        with function(folder) as backend, signed_gate(backend) as url:
            found = list(examine(url, registry))
        assert wrong(found) == []
        one(found, "ok", "url_auth", "curl --aws-sigv4 aws:amz:us-east-1:lambda")
        one(found, "ok", "golden")

    def test_a_caller_who_may_not_call_is_named(self) -> None:
        with signed_gate("", accepts=False) as url:
            only(examine(url), "error", "url_forbidden", "403: Forbidden", "lambda:InvokeFunctionUrl", "--aws-sigv4")

    def test_a_caller_without_credentials_is_told_how_to_sign(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name)
        with signed_gate("") as url:
            only(examine(url), "error", "url_forbidden", "--aws-sigv4 aws:amz:us-east-1:lambda")


class TestKeys:
    def test_a_caller_without_a_key_is_told_how_to_get_one(self, folder: Path) -> None:
        with function(folder, requires_keys=True) as url:
            only(
                examine(url), "error", "url_key", "401: expected a valid API", "ONNXLET_API_KEY", "onnxlet keys create"
            )

    def test_the_key_of_the_environment_is_shown(
        self, folder: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ONNXLET_API_KEY", created_key(registry))
        with function(folder, requires_keys=True) as url:
            assert wrong(examine(url, registry)) == []

    def test_a_signature_and_a_key_are_shown_together(
        self, folder: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ONNXLET_API_KEY", created_key(registry))
        with function(folder, requires_keys=True) as backend, signed_gate(backend) as url:
            found = list(examine(url, registry))
        assert wrong(found) == []
        one(found, "ok", "golden")


class TestReach:
    def test_nobody_there_is_named(self) -> None:
        only(examine(f"http://{HOST}:{free_port()}"), "error", "url_unreachable", "refused", "is it started")

    def test_a_host_without_an_address_is_named(self) -> None:
        only(examine("https://none.invalid"), "error", "url_unknown_host", "no address for none.invalid")

    def test_a_server_without_tls_is_named(self) -> None:
        with answering(200) as url:
            only(examine(url.replace("http:", "https:")), "error", "url_tls", "certificate")

    def test_a_server_that_hangs_up_is_named(self) -> None:
        class Silent(Handler):
            def do_GET(self) -> None:
                self.close_connection = True

        with serving(Silent) as url:
            only(examine(url), "error", "url_unreachable")

    @pytest.mark.parametrize(
        ("status", "body"), [(200, b'{"name": "triton"}'), (200, b"<html>"), (404, b'{"message": "Not Found"}')]
    )
    def test_another_server_is_named(self, status: int, body: bytes) -> None:
        with answering(status, body) as url:
            only(examine(url), "error", "url_other", "onnxlet's own answer to /v2")

    def test_a_sign_in_page_is_not_taken_for_the_function(self) -> None:
        with answering(302, location="https://none.invalid/login") as url:
            only(examine(url), "error", "url_other")

    def test_a_function_that_does_not_start_is_named(self) -> None:
        def invoke(_event: object) -> Any:
            raise FunctionError("no module named main")

        with serve_function_url(invoke) as url:
            only(examine(url), "error", "function_fails", "502", "the function's log says why")

    def test_a_clock_that_is_off_is_named(self) -> None:
        with answering(200, json.dumps({"name": "onnxlet"}).encode(), seconds=4000) as url:
            found = list(examine(url))
        one(found, "error", "clock_skew", "s behind theirs", "timedatectl")
