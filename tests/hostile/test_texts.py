"""Attacks by texts: too long, too many, too deep, of characters that are none; each is the client's error, in time."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from onnxlet.http import Request
from onnxlet.limits import MAX_CANDIDATES, MAX_INSTANCES, MIB
from onnxlet.registry.registry import Registry
from onnxlet.settings import Settings
from onnxlet.storage import open_store
from onnxlet.web.app import App
from tests.helpers import task_models
from tests.helpers.app_requests import post
from tests.helpers.ungated import publish

LONG = "warm " * 2_000_000
"""A text of 10 MB."""

TOKENS = "a b c d e " * 45_000
"""A text that is as long as the function tokenizes at once."""

SURROGATE = b'"\\ud800"'

FUNCTION_MIB = 1024

MAX_S = 30
"""A request that takes this long would have been tokenized for nothing; the slowest takes 3 s on one core."""


def request(path: str, document: Any, media_type: str = "application/json", **query: str) -> Request:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return Request("POST", path, body, {"content-type": media_type}, query)


def hugging_face(task: str, inputs: Any, **parameters: Any) -> Request:
    return request(f"/models/{task}", {"inputs": inputs, "parameters": parameters})


def embeddings(value: Any, **fields: Any) -> Request:
    return request("/v1/embeddings", {"model": "feature-extraction", "input": value, **fields})


def rerank(query: Any, documents: Any, **fields: Any) -> Request:
    return request("/v1/rerank", {"model": "text-ranking", "query": query, "documents": documents, **fields})


LABELS = [f"label {number}" for number in range(MAX_CANDIDATES)]

ATTACKS: dict[str, Request] = {
    **{
        f"a text of 10 MB for {task}": request(f"/predict/{task}", LONG.encode(), "text/plain")
        for task in task_models.TEXT_TASKS
    },
    "inputs of 10 MB": hugging_face("text-classification", LONG, truncate=True),
    "a pair of 10 MB": hugging_face("text-classification", {"text": "a", "text_pair": LONG}),
    "a context of 10 MB": hugging_face("question-answering", {"question": "a", "context": LONG}),
    "an input of 10 MB": embeddings(LONG),
    "a query of 10 MB": rerank(LONG, ["a"]),
    "a document of 10 MB": rerank("a", ["b", {"text": LONG}]),
    "a query that is repeated for each document": rerank("a" * 400_000, ["a"] * MAX_CANDIDATES),
    "deep JSON": request("/models/text-classification", b'{"inputs":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    "deep JSON that is read": request("/models/text-classification", b'{"inputs":' + b"[" * 900 + b"]" * 900 + b"}"),
    "deep documents": request(
        "/v1/rerank", b'{"model":"text-ranking","query":"a","documents":' + b"[" * 900 + b"]" * 901
    ),
    "deep tokens": embeddings([[[[1]]]]),
    "too many texts": embeddings(["a"] * (MAX_INSTANCES + 1)),
    "too many instances": request("/v1/models/text-classification:predict", {"instances": ["a"] * (MAX_INSTANCES + 1)}),
    "too many documents": rerank("a", ["b"] * (MAX_CANDIDATES + 1)),
    "too many labels": hugging_face("zero-shot-classification", "a", candidate_labels=["x"] * 100_000),
    "all labels for many texts": hugging_face(
        "zero-shot-classification", ["a"] * MAX_INSTANCES, candidate_labels=LABELS
    ),
    "a template that repeats": hugging_face(
        "zero-shot-classification", "a", candidate_labels=["x" * 999] * MAX_CANDIDATES, hypothesis_template="{}" * 500
    ),
    "a template of one million": hugging_face(
        "zero-shot-classification", "a", candidate_labels=["x"], hypothesis_template="{}" * 1_000_000
    ),
    "windows that move by one token": hugging_face(
        "question-answering", {"question": "a", "context": TOKENS}, doc_stride=3, max_seq_len=8
    ),
    "windows that a question fills": hugging_face(
        "question-answering", {"question": "a " * 58, "context": TOKENS}, doc_stride=0
    ),
    "windows that share more than they have": hugging_face(
        "question-answering", {"question": "a b", "context": "c " * 100}, doc_stride=6, max_seq_len=10
    ),
    "parts that move by one token": hugging_face("token-classification", TOKENS, stride=61),
    "parts of both texts of a pair": hugging_face(
        "text-ranking", {"query": TOKENS[:240_000], "texts": [TOKENS[:240_000]]}, truncate=True
    ),
    "parts that a label fills": hugging_face(
        "zero-shot-classification", TOKENS[:400_000], candidate_labels=["x" * 50], truncate=True
    ),
    "masks without end": hugging_face("fill-mask", ["[MASK] " * 62] * 500, top_k=1000),
    "half a surrogate": request("/predict/text-classification", b"[" + SURROGATE + b"]"),
    "half a surrogate and NaN": request("/predict/text-classification", b"[NaN, " + SURROGATE + b"]"),
    "half a surrogate in inputs": request("/models/text-classification", b'{"inputs":' + SURROGATE + b"}"),
    "half a surrogate in an input": request(
        "/v1/embeddings", b'{"model":"feature-extraction","input":' + SURROGATE + b"}"
    ),
    "half a surrogate in labels": request("/predict/zero-shot-classification", ["a"], candidate_labels="\ud800,b"),
    "half a surrogate in a template": request(
        "/predict/zero-shot-classification", ["a"], candidate_labels="b", hypothesis_template="\ud800{}"
    ),
    "half a surrogate in targets": request("/predict/fill-mask", ["a [MASK]"], targets="\ud800"),
    "half a surrogate in a prompt": request("/predict/feature-extraction", ["a"], prompt_name="\ud800"),
    "bytes that are no text": request("/predict/text-classification", bytes(range(256)), "text/plain"),
    "tokens that the model does not have": embeddings([[10**18], [-1]]),
    "truth values as tokens": embeddings([[True]]),
    "numbers as texts": embeddings([1.5]),
    "an object as a text": rerank({"text": "a"}, ["a"]),
    "a model that is a path": request("/v1/embeddings", {"model": "../../etc/passwd", "input": "a"}),
    "a model that is a list": request("/v1/rerank", {"model": ["text-ranking"], "query": "a", "documents": ["a"]}),
    "no object": request("/v1/rerank", ["a"]),
    "a picture": request("/models/text-classification", b"\x89PNG\r\n\x1a\n" + bytes(100), "image/png"),
}


def serve(root: str) -> App:
    """A function of 1 GiB with a model of each task of texts."""
    registry = Registry(open_store(root))
    for task in task_models.TEXT_TASKS:
        publish(registry, task_models.text_candidate(task))
    return App(Settings(root, function_bytes=FUNCTION_MIB * MIB, timeout_s=60), write_line=lambda _line: None)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> App:
    return serve(tmp_path_factory.mktemp("texts").as_uri())


LIMITED = """
import json, resource, sys, time
from tests.hostile.test_texts import ATTACKS, serve
resource.setrlimit(resource.RLIMIT_AS, (4 * 2**30,) * 2)
def peak_mib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
app = serve(sys.argv[1])
before_mib, outcomes = peak_mib(), {}
for name, request in ATTACKS.items():
    begun = time.monotonic()
    response = app.handle(request)
    outcomes[name] = [response.status, json.loads(response.body), time.monotonic() - begun]
print(json.dumps([outcomes, peak_mib() - before_mib]))
"""
"""Sends every attack to a function in a process with little memory, which a crash would end."""


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The outcome of each attack, and how much memory the process took for them."""
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, tmp_path_factory.mktemp("limited").as_uri()],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_by_texts_is_the_clients_error(attacked: Any, name: str) -> None:
    status, document, taken_s = attacked[0][name]
    error = document["error"]["message"] if isinstance(document["error"], dict) else document["error"]
    assert 400 <= status < 500, document
    assert "\n" not in error
    assert taken_s < MAX_S


def test_attacks_by_texts_take_no_more_memory_than_the_function_has(attacked: Any) -> None:
    assert attacked[1] < FUNCTION_MIB / 2, "half of it is for models"


@pytest.mark.parametrize("text", ["\0", "a\0b", "\u202e\ufeff", "\U0010ffff", "\ufffe", "e\u0301" * 20, " "])
def test_unusual_characters_are_a_text_like_any_other(app: App, text: str) -> None:
    for task in ("text-classification", "token-classification", "feature-extraction"):
        status, answer = post(app, f"/predict/{task}", text.encode(), "text/plain")
        assert (status, len(answer["predictions"])) == (200, 1), answer


def test_as_many_texts_as_a_request_may_have_are_answered(app: App) -> None:
    response = app.handle(embeddings(["a b c"] * MAX_INSTANCES))
    assert (response.status, len(json.loads(response.body)["data"])) == (200, MAX_INSTANCES)
