import gzip
import io
import json
import threading
import zlib
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from PIL import Image

from onnxlet.clouds import aws_http
from onnxlet.http import Request
from onnxlet.limits import MAX_REQUEST_PIXELS, MIB
from onnxlet.limits.memory import RESERVED_BYTES, Share
from onnxlet.record import replace
from onnxlet.registry.registry import Registry
from onnxlet.settings import Settings
from onnxlet.web.app import App
from tests.helpers.app_requests import get, png, post


class TestServer:
    def test_a_trailing_slash_does_not_matter(self, app: App) -> None:
        assert get(app, "/v2/")[0] == 200

    def test_an_unknown_path_is_a_404(self, app: App) -> None:
        for path in ("/v3", "/v2/models/digits/nope", "/predict/a/b"):
            status, body = get(app, path)
            assert (status, body["code"]) == (404, "not_found")

    def test_another_method_is_a_405_that_names_the_right_one(self, app: App) -> None:
        response = app.handle(Request("GET", "/v2/models/digits/infer"))
        body = json.loads(response.body)
        assert (response.status, body["code"], response.headers["allow"]) == (405, "method_not_allowed", "POST")
        assert "expected POST, got GET" in body["error"]


class TestMethods:
    @pytest.mark.parametrize("path", ["/", "/v2", "/v2/models/digits", "/openapi.json", "/playground/main.js", "/nope"])
    @pytest.mark.parametrize("accepted", [{}, {"accept-encoding": "gzip"}, {"accept": "text/html"}])
    def test_head_is_answered_as_get_without_its_body(self, app: App, path: str, accepted: dict[str, str]) -> None:
        got, head = (app.handle(Request(method, path, headers=accepted)) for method in ("GET", "HEAD"))
        assert (head.status, head.body, head.content_type) == (got.status, b"", got.content_type)
        assert head.headers["content-length"] == str(len(got.body))
        own = {"traceparent", "server-timing"}
        assert head.headers.keys() == got.headers.keys() | {"content-length"}
        assert all(head.headers[name] == value for name, value in got.headers.items() if name not in own)

    def test_options_names_the_methods_of_a_path(self, app: App) -> None:
        response = app.handle(Request("OPTIONS", "/v2/models/digits"))
        assert (response.status, response.body, response.headers["allow"]) == (204, b"", "GET, HEAD, OPTIONS")
        assert app.handle(Request("OPTIONS", "/predict")).headers["allow"] == "POST, OPTIONS"
        assert app.handle(Request("OPTIONS", "/nope")).status == 404

    def test_head_of_what_takes_a_body_is_a_405(self, app: App) -> None:
        response = app.handle(Request("HEAD", "/predict"))
        assert (response.status, response.body, response.headers["allow"]) == (405, b"", "POST")


class TestBasePath:
    @pytest.fixture
    def below(self, registry: Registry) -> App:
        return App(Settings(registry.store.url, model="digits", base_path="/ml/models"))

    @pytest.mark.parametrize("base", ["/ml/models", ""])
    def test_a_path_is_answered_with_its_base_and_without(self, below: App, base: str) -> None:
        assert get(below, f"{base}/v2/models/digits")[1]["name"] == "digits"
        assert get(below, f"{base}/")[1]["status"] == "alive"
        assert post(below, f"{base}/predict", png(), "image/png")[0] == 200
        assert get(below, f"{base}/nope")[0] == 404

    def test_another_path_is_not_cut(self, below: App) -> None:
        for path in ("/ml/modelsv2", "/ml/v2", "/ml", "/ML/models/v2", "/ml/models/ml/models/v2"):
            assert get(below, path)[0] == 404

    def test_the_description_names_it(self, below: App) -> None:
        assert get(below, "/ml/models/openapi.json")[1]["servers"] == [{"url": "/ml/models"}]
        assert "servers" not in get(below, "/openapi.json")[1]

    def test_the_page_stands_where_its_links_are_right(self, below: App) -> None:
        headers = {"accept": "text/html"}
        redirected = below.handle(Request("GET", "/ml/models", headers=headers))
        assert (redirected.status, redirected.headers["location"]) == (308, "/ml/models/")
        page = below.handle(Request("GET", redirected.headers["location"], headers=headers))
        assert (page.status, page.headers["vary"]) == (200, "accept, accept-encoding")
        assert get(below, "/ml/models")[1]["status"] == "alive"


SURROGATE = "\ud800"

EVENT: dict[str, Any] = {
    "rawPath": "/v2",
    "rawQueryString": "a=b",
    "headers": {"accept": "*/*"},
    "requestContext": {"http": {"method": "GET"}, "requestId": "1"},
    "body": "",
}


@pytest.mark.parametrize(
    "changed",
    [
        {"requestContext": {"http": {"method": f"GET{SURROGATE}"}}},
        {"rawPath": f"/v2/models/{SURROGATE}"},
        {"rawQueryString": f"top_k={SURROGATE}"},
        {"headers": {"x-request-id": SURROGATE, "traceparent": SURROGATE}},
        {"headers": {"authorization": f"Bearer {SURROGATE}"}},
        {"headers": {"content-type": f"multipart/form-data; boundary={SURROGATE}"}},
        {"headers": {SURROGATE: "x"}},
        {"requestContext": {"http": {"method": "POST"}, "requestId": SURROGATE}},
        {"body": SURROGATE},
        {"body": SURROGATE, "isBase64Encoded": True},
    ],
)
@pytest.mark.parametrize("requires_keys", [False, True])
def test_a_lone_surrogate_anywhere_in_an_event_is_a_400(
    registry: Registry, capsys: pytest.CaptureFixture[str], changed: dict[str, Any], requires_keys: bool
) -> None:
    """JSON may write one, and the log and the stores take none."""
    app = App(Settings(registry.store.url, requires_keys=requires_keys))
    response = app.handle(EVENT | changed, aws_http.to_request)
    assert (response.status, json.loads(response.body)["code"]) == (400, "invalid_request")
    assert json.loads(capsys.readouterr().out)["status"] == 400


def test_a_log_that_cannot_be_written_does_not_take_the_answer_away(registry: Registry) -> None:
    def broken(_line: Any) -> None:
        raise OSError(28, "No space left on device")

    assert App(Settings(registry.store.url), broken).handle(Request("GET", "/v2")).status == 200


class TestMemory:
    """What a request becomes when it is decoded is counted before it is."""

    BUDGET_BYTES = 16 * MIB

    @pytest.fixture
    def small(self, registry: Registry) -> App:
        settings = Settings(registry.store.url, model="digits", memory_bytes=MIB)
        return App(replace(settings, function_bytes=RESERVED_BYTES + MIB + self.BUDGET_BYTES))

    def image(self, side: int) -> bytes:
        buffer = io.BytesIO()
        Image.new("RGB", (side, side)).save(buffer, "PNG")
        return buffer.getvalue()

    def test_an_image_that_never_fits_is_a_413_that_says_what_fits(self, small: App) -> None:
        status, document = post(small, "/predict/digits", self.image(2000), "image/png")
        assert (status, document["code"]) == (413, "too_large")
        assert "MiB of memory, expected at most 16" in document["error"]
        assert post(small, "/predict/digits", self.image(1000), "image/png")[0] == 200

    def test_json_that_becomes_too_much_is_a_413(self, small: App) -> None:
        body = json.dumps([[0.5] * 784] * 700).encode()
        status, document = post(small, "/predict/digits", body, "application/json")
        assert (status, document["code"]) == (413, "too_large")
        assert "MiB of memory" in document["error"]

    def test_a_body_that_inflates_too_much_is_a_413(self, small: App) -> None:
        body = gzip.compress(bytes(10 * MIB))
        response = small.handle(Request("POST", "/predict/digits", body, {"content-encoding": "gzip"}))
        assert response.status == 413

    def test_numbers_that_become_too_much_are_a_413(self, small: App) -> None:
        file = io.BytesIO()
        np.save(file, np.zeros((4000, 28, 28, 1), np.float32))
        assert post(small, "/predict/digits", file.getvalue(), "application/x-npy")[0] == 413

    def test_images_of_many_pixels_in_one_request_are_a_413(self, app: App) -> None:
        image = io.BytesIO()
        Image.new("RGB", (7000, 7000)).save(image, "WEBP", lossless=True, quality=0, method=0)
        assert len(image.getvalue()) < 50
        body = [{"b64": b64encode(image.getvalue()).decode()}] * (MAX_REQUEST_PIXELS // 7000**2 + 1)
        status, document = post(app, "/predict/digits", json.dumps(body).encode(), "application/json")
        assert (status, document["code"]) == (413, "too_large")
        assert "pixels in all" in document["error"]

    def test_requests_at_once_are_all_answered_one_after_the_other(self, small: App) -> None:
        body = json.dumps([{"b64": b64encode(self.image(900)).decode()}] * 5).encode()
        with ThreadPoolExecutor(8) as pool:
            statuses = list(pool.map(lambda _: post(small, "/predict/digits", body, "application/json")[0], range(24)))
        assert statuses == [200] * 24
        with small.service.budget.share() as share:
            share.take(self.BUDGET_BYTES)

    def test_a_request_that_gets_no_memory_in_time_is_a_504(self, small: App) -> None:
        with small.service.budget.share() as share:
            share.take(self.BUDGET_BYTES)
            request = Request("POST", "/predict/digits", self.image(900), {"content-type": "image/png"})
            assert small.handle(request, remaining_s=0.7).status == 504
            innocent = Request("GET", "/v2/health/ready")
            assert small.handle(innocent).status == 200
        assert small.handle(request).status == 200

    def test_a_compressed_body_is_inflated_once_more_where_the_request_begins_again(self, small: App) -> None:
        body = gzip.compress(json.dumps([{"b64": b64encode(self.image(900)).decode()}]).encode())
        headers = {"content-encoding": "gzip", "content-type": "application/json"}
        others = Share(small.service.budget)
        others.take(self.BUDGET_BYTES - MIB)
        timer = threading.Timer(0.1, others.close)
        timer.start()
        assert small.handle(Request("POST", "/predict/digits", body, headers)).status == 200
        timer.join()


class TestCompression:
    @pytest.mark.parametrize(("accepted", "window_bits"), [("gzip", 31), ("deflate", 15), ("br, GZIP;q=0.5", 31)])
    def test_a_client_that_takes_it_gets_a_smaller_body(self, app: App, accepted: str, window_bits: int) -> None:
        request = Request("GET", "/openapi.json", headers={"accept-encoding": accepted})
        response, plain = app.handle(request), app.handle(Request("GET", "/openapi.json"))
        assert zlib.decompress(response.body, window_bits) == plain.body
        assert len(response.body) < len(plain.body) / 2
        assert not response.is_text

    def test_others_and_small_bodies_are_left_alone(self, app: App) -> None:
        for path, accepted in (("/openapi.json", "br"), ("/v2", "gzip")):
            response = app.handle(Request("GET", path, headers={"accept-encoding": accepted}))
            assert "content-encoding" not in response.headers
            json.loads(response.body)


class TestOperator:
    def test_each_request_is_one_line_without_its_payload(self, registry: Registry) -> None:
        lines: list[Any] = []
        app = App(Settings(registry.store.url, "digits"), lines.append)
        secret = b"\x89PNG\r\n\x1a\nsecret"
        headers = {"content-type": "image/png", "x-request-id": "r-1", "authorization": "secret"}
        app.handle(Request("POST", "/predict", secret, headers))
        response = app.handle(Request("POST", "/predict", png(), {"x-request-id": "r-2"}))
        first, second = lines
        assert (first["status"], first["code"], first["refused"], first["cold"]) == (422, "unreadable_payload", 1, True)
        assert (second["status"], second["model"], second["version"], second["rows"]) == (200, "digits", 2, 1)
        assert (second["request_id"], second["cold"], second["route"]) == ("r-2", False, "/predict")
        assert {"load_ms", "decode_ms", "run_ms", "encode_ms"} <= set(second)
        assert second["milliseconds"] > second["decode_ms"] > 0
        assert second["request_bytes"] == len(png())
        assert second["response_bytes"] == len(response.body)
        assert "secret" not in json.dumps(lines)

    def test_each_answer_says_who_made_it_and_how(self, app: App) -> None:
        trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
        headers = {"traceparent": f"00-{trace_id}-00f067aa0ba902b7-01", "x-request-id": "r-1"}
        response = app.handle(Request("POST", "/predict", png(), headers))
        assert response.headers["onnxlet-model"] == "digits"
        assert response.headers["onnxlet-version"] == "2"
        assert response.headers["x-request-id"] == "r-1"
        assert response.headers["traceparent"].startswith(f"00-{trace_id}-")
        assert {entry.split(";")[0] for entry in response.headers["server-timing"].split(", ")} == {
            "load",
            "decode",
            "run",
            "encode",
            "total",
        }
