"""The answers of tasks to objects and messages: one result for each, whatever a person put into it."""

import json
import uuid
from typing import Any

import numpy as np
import pytest
from PIL import Image

from onnxlet.events.messages import Inline, Source
from onnxlet.events.results import Failed, Written, process
from onnxlet.media import media_types
from onnxlet.protocols import payloads
from onnxlet.registry.registry import Registry
from onnxlet.settings import Settings
from onnxlet.storage import Store, open_store
from onnxlet.storage.connection import StorageSettings
from onnxlet.web.app import App
from tests.helpers import counting_models, sounds, task_models
from tests.helpers.image_files import encode
from tests.helpers.payload_requests import b64
from tests.helpers.stored_objects import put, put_described, result
from tests.helpers.ungated import publish

WAV = sounds.wav_of(np.full(400, 0.5), 16_000)

PHOTO, JPEG = (encode(Image.new("RGB", (60, 40), "white"), file_format) for file_format in ("PNG", "JPEG"))

LOVELY = "It is warm in Paris."


@pytest.fixture(scope="module")
def registry() -> str:
    url = f"memory://{uuid.uuid4()}"
    candidates = [
        *task_models.candidates(),
        counting_models.pictures(),
        counting_models.texts(),
        counting_models.tables(),
        counting_models.sounds(),
    ]
    for candidate in candidates:
        publish(Registry(open_store(url)), candidate)
    return url


class World:
    """The function of each model, and what its results are."""

    def __init__(self, registry: str, results: Store, storage: StorageSettings) -> None:
        self._registry = registry
        self._results = results
        self._storage = storage

    def app(self, model: str) -> App:
        return App(Settings(self._registry, model, self._results.url, storage=self._storage))

    def put(self, name: str, data: bytes | str) -> Source:
        scheme = self._results.url.partition(":")[0]
        return put(scheme, self._storage, name, data.encode() if isinstance(data, str) else data)

    def answer(self, model: str, *sources: Source) -> list[dict[str, Any]]:
        """The results of sources that are delivered together."""
        found = []
        for state in process(self.app(model).service, sources):
            assert isinstance(state, Written), state.error if isinstance(state, Failed) else state
            found.append(result(self._results, state.url))
        return found


@pytest.fixture
def world(registry: str, results: Store, storage: StorageSettings) -> World:
    return World(registry, results, storage)


FORMS: dict[str, list[tuple[str, bytes | str]]] = {
    "object-detection": [
        ("photo.png", PHOTO),
        ("photo.jpg", JPEG),
        ("noname", PHOTO),
        ("photos.json", json.dumps([{"b64": b64(PHOTO)}, b64(JPEG)])),
    ],
    "image-segmentation": [("photo.png", PHOTO)],
    "image-feature-extraction": [("photo.jpg", JPEG)],
    "text-classification": [
        ("mood.txt", LOVELY),
        ("noname", LOVELY),
        ("moods.json", json.dumps([LOVELY, {"text": LOVELY, "text_pair": "It is cold."}])),
        ("moods.jsonl", f"{json.dumps(LOVELY)}\n{json.dumps('It is cold.')}\n"),
    ],
    "token-classification": [("names.txt", "Anna lives in Paris."), ("names.json", json.dumps(["Anna", "Paris"]))],
    "feature-extraction": [
        ("sentence.txt", LOVELY),
        ("sentences.json", json.dumps({"instances": [LOVELY, "It is cold."]})),
        ("similar.json", json.dumps({"source_sentence": LOVELY, "sentences": ["It is cold.", LOVELY]})),
    ],
    "text-ranking": [("ranking.json", json.dumps({"query": "warm?", "texts": ["It is cold.", LOVELY]}))],
    "fill-mask": [("mask.txt", "It is [MASK].")],
    "question-answering": [("question.json", json.dumps({"question": "Where?", "context": LOVELY}))],
    "sums": [
        ("row.json", '{"a": 1, "b": 2, "c": 3}'),
        ("rows.json", '[{"a": 1, "b": 2, "c": 3}, {"c": 1, "b": 0, "a": 5}]'),
        ("rows.csv", "a,b,c\n1,2,3\n5,0,1\n"),
        ("rows.tsv", "c\tb\ta\n3\t2\t1\n"),
        ("rows.jsonl", '{"a": 1, "b": 2, "c": 3}\n[5, 0, 1]\n'),
    ],
    "choices": [("rows.csv", "one,two\n1,2\n3,-1\n")],
    "loudness": [("sound.wav", WAV), ("noname", WAV)],
    "speech": [("speech.wav", sounds.wav_of(np.full(16_000, 0.5), 16_000))],
}
"""Objects of each kind that a model takes."""


@pytest.mark.parametrize("model", FORMS)
def test_objects_of_every_form_have_the_answers_of_a_request(world: World, model: str) -> None:
    sources = [world.put(name, data) for name, data in FORMS[model]]
    loaded = world.app(model).service.find(None).model
    for (name, data), found in zip(FORMS[model], world.answer(model, *sources), strict=True):
        body = data.encode() if isinstance(data, str) else data
        media_type = "" if name == "noname" else media_types.media_type_of(name)
        expected = payloads.predict(loaded, media_type, body)
        assert (found["model"], found["version"]) == (model, 1)
        assert _close(found["predictions"], expected), found


def _close(found: Any, expected: Any) -> bool:
    """Whether two documents are equal, apart from the last digits of their numbers."""
    if isinstance(expected, float):
        return bool(found == pytest.approx(expected, abs=1e-5))
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(_close, found, expected))
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(_close(found[name], expected[name]) for name in expected)
    return bool(found == expected)


def test_json_may_name_the_parameters_of_its_instances(world: World) -> None:
    labels = {"candidate_labels": ["weather", "sports"]}
    document = {"instances": [LOVELY], "parameters": labels}
    wanted, unknown, missing = world.answer(
        "zero-shot-classification",
        world.put("labels.json", json.dumps(document)),
        world.put("unknown.json", json.dumps({**document, "parameters": {**labels, "colour": 1}})),
        world.put("without.txt", LOVELY),
    )
    assert set(wanted["predictions"][0]["labels"]) == {"weather", "sports"}
    assert unknown["error"].startswith("parameter 'colour': expected one of this model's parameters (candidate_labels")
    assert missing["error"].startswith("candidate_labels: expected the labels to choose from")
    (two,) = world.answer(
        "text-classification", world.put("a.json", '{"instances": ["a"], "parameters": {"top_k": 2}}')
    )
    assert len(two["predictions"][0]["top"]) == 2


@pytest.mark.parametrize("scheme", ["s3"])
def test_an_object_with_a_media_type_needs_no_name(world: World, storage: StorageSettings) -> None:
    text = put_described(
        storage, "5f2c1b7e", "It is café.".encode("latin-1"), content_type="text/plain; charset=iso-8859-1"
    )
    table = put_described(storage, "5f2c1b7f", b"1,2,3\n", content_type="text/csv; header=absent")
    (vector,), (number,) = (
        found["predictions"] for found in (*world.answer("feature-extraction", text), *world.answer("sums", table))
    )
    assert (len(vector), number) == (16, 321)


@pytest.mark.parametrize(
    ("model", "files", "rows"),
    [
        (
            "texts",
            [("a.txt", "Hello."), ("b.txt", "It is warm in Paris, Anna."), ("c.json", '["a", "b c d"]')],
            [1, 1, 2],
        ),
        (
            "tables",
            [("a.csv", "a,b,c\n1,2,3\n4,5,6\n"), ("b.json", "[1, 2, 3]"), ("c.jsonl", "[1, 2, 3]\n")],
            [2, 1, 1],
        ),
        ("pictures", [("a.png", PHOTO), ("b.jpg", JPEG), ("c.json", json.dumps([b64(PHOTO), b64(PHOTO)]))], [1, 1, 2]),
        ("sounds", [("a.wav", WAV), ("b.wav", sounds.wav_of(np.full(900, 0.1), 48_000))], [1, 1]),
    ],
)
def test_objects_that_come_together_run_as_one_tensor(
    world: World, model: str, files: list[tuple[str, bytes | str]], rows: list[int]
) -> None:
    """Of different lengths too: the models answer with the sizes of the tensor that they ran on."""
    found = world.answer(model, *(world.put(name, data) for name, data in files))
    assert [len(document["predictions"]) for document in found] == rows
    answers = [_sizes(answer) for document in found for answer in document["predictions"]]
    assert {size[0] for size in answers} == {sum(rows)}
    assert len({*answers}) == 1, "and all have the length of the longest"


def _sizes(answer: Any) -> tuple[float, ...]:
    if isinstance(answer, dict):
        return tuple(
            entry["probability"] for entry in sorted(answer["top"], key=lambda entry: entry["label"] != "sounds")
        )
    return tuple(answer)


@pytest.mark.parametrize(
    ("model", "good", "bad", "code"),
    [
        ("texts", ("a.txt", LOVELY), ("bad.txt", b"\xff\xfe\xfd"), "unreadable_payload"),
        ("texts", ("a.txt", LOVELY), ("long.txt", "warm " * 100), "invalid_request"),
        ("texts", ("a.txt", LOVELY), ("number.json", "[true]"), "invalid_request"),
        ("texts", ("a.txt", LOVELY), ("table.csv", "a,b\n1,2\n"), "unsupported_media"),
        ("texts", ("a.txt", LOVELY), ("photo.png", PHOTO), "unsupported_media"),
        ("tables", ("a.csv", "a,b,c\n1,2,3\n"), ("bad.csv", "a,b,d\n1,2,3\n"), "invalid_tensor"),
        ("tables", ("a.csv", "a,b,c\n1,2,3\n"), ("bad.csv", "a,b,c\n1,2,x\n"), "invalid_tensor"),
        ("tables", ("a.csv", "a,b,c\n1,2,3\n"), ("bad.jsonl", "[1, 2, 3]\n[1\n"), "invalid_json"),
        ("pictures", ("a.png", PHOTO), ("bad.png", PHOTO[:60]), "unreadable_payload"),
        ("pictures", ("a.png", PHOTO), ("a.txt", LOVELY), "unsupported_media"),
        ("sounds", ("a.wav", WAV), ("bad.wav", WAV[:60]), "unreadable_payload"),
        ("sounds", ("a.wav", WAV), ("long.wav", sounds.wav_of(np.zeros(401), 16_000)), "too_large"),
        ("sounds", ("a.wav", WAV), ("a.txt", "a text"), "unsupported_media"),
    ],
)
def test_a_bad_object_is_refused_for_good_and_spoils_no_other(
    world: World, model: str, good: tuple[str, bytes | str], bad: tuple[str, bytes | str], code: str
) -> None:
    sources = [world.put(*good), world.put(*bad), world.put(*good)]
    first, refused, last = world.answer(model, *sources)
    assert {"source", "error", "code"} <= refused.keys()
    assert (refused["source"], refused["code"]) == (sources[1].url, code)
    assert "predictions" not in refused
    for found in (first, last):
        assert _sizes(found["predictions"][0])[0] == 2, "both ran together"


def test_a_text_that_was_cut_is_counted(world: World) -> None:
    document = {"instances": ["warm " * 100, "warm"], "parameters": {"truncate": True}}
    found, short = world.answer("texts", world.put("long.json", json.dumps(document)), world.put("short.txt", "warm"))
    assert found["truncated"] == 1
    assert "truncated" not in short


@pytest.mark.parametrize("scheme", ["s3"])
@pytest.mark.parametrize(
    ("model", "body", "media_type"),
    [
        ("text-classification", LOVELY.encode(), ""),
        ("text-classification", LOVELY.encode(), "text/plain"),
        ("sums", b"a,b,c\n1,2,3\n", "text/csv"),
        ("loudness", WAV, ""),
        ("zero-shot-classification", b'{"instances": ["a"], "parameters": {"candidate_labels": ["b"]}}', ""),
    ],
)
def test_a_message_may_hold_what_a_person_has(world: World, model: str, body: bytes, media_type: str) -> None:
    (found,) = world.answer(model, Inline("topic/messages/1", "messages/1", body, media_type))
    assert (found["source"], len(found["predictions"])) == ("topic/messages/1", 1)
