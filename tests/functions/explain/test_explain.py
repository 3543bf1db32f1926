import json
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from onnxlet.limits import DEFAULT_EXPLAIN_RUNS, MAX_EXPLAIN_MS
from onnxlet.web.app import App
from tests.helpers.explanations import ask, npy, png


def test_a_function_that_explains_and_captures_nothing_imports_nothing_of_it() -> None:
    rooms = "{'onnxlet.explain', 'onnxlet.observe.capture', 'onnxlet.contract.training_statistics', 'PIL'}"
    program = f"import sys, onnxlet.web.app, onnxlet.events.objects; assert not sys.modules.keys() & {rooms}"
    subprocess.run([sys.executable, "-c", program], check=True)


TWO = b"--x\r\nContent-Type: image/png\r\n\r\n%s\r\n--x\r\nContent-Type: image/png\r\n\r\n%s\r\n--x--" % (png(), png())


@pytest.mark.parametrize(
    ("model", "body", "media_type", "query", "status", "words"),
    [
        ("sums", [[1, 2, 3]], "application/json", {}, 415, "only classifiers are explained"),
        ("strings", b"hello", "text/plain", {}, 415, "BYTES cannot be explained"),
        ("digits", npy(np.zeros((28, 28, 1), np.float32)), "application/x-npy", {}, 415, "by images, not by tensors"),
        ("digits", b"no image", "image/png", {}, 422, "bytes of another format"),
        ("digits", b"", "image/png", {}, 400, "the body is empty"),
        ("digits", TWO, "multipart/form-data; boundary=x", {}, 400, "expected one row, got several images"),
        ("digits", npy(np.zeros((2, 28, 28, 1), np.uint8)), "application/x-npy", {}, 400, "expected one row, got 2"),
        ("additive", [[1.0] * 4] * 3, "application/json", {}, 400, "expected one row, got 3"),
        ("additive", [[]], "application/json", {}, 400, "input"),
        ("digits", png(), "image/png", {"target": "ten"}, 400, "target: expected one of 0, 1"),
        ("digits", png(), "image/png", {"budget_runs": 2}, 400, "budget_runs: expected a number from 3"),
        ("digits", png(), "image/png", {"budget_runs": DEFAULT_EXPLAIN_RUNS + 1}, 400, "budget_runs"),
        ("digits", png(), "image/png", {"budget_runs": "many"}, 400, "budget_runs"),
        ("digits", png(), "image/png", {"budget_ms": 0}, 400, "budget_ms"),
        ("digits", png(), "image/png", {"budget_ms": MAX_EXPLAIN_MS + 1}, 400, "budget_ms"),
        ("nope", png(), "image/png", {}, 404, "nope"),
    ],
)
def test_what_cannot_be_explained_is_a_4xx(
    app: App, model: str, body: Any, media_type: str, query: dict[str, Any], status: int, words: str
) -> None:
    response = ask(app, model, body, media_type, **query)
    assert (response.status, words in json.loads(response.body)["error"]) == (status, True), response.body
