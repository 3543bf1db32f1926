"""Hugging Face's and OpenAI's own clients, unchanged, against both clouds' real runtimes."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import openai
import pytest
from huggingface_hub import InferenceClient
from huggingface_hub.errors import HfHubHTTPError
from PIL import Image

from onnxlet.registry.registry import Registry
from onnxlet.storage import open_store
from onnxlet_cli.local.serve import LocalSettings, serve
from onnxlet_publishing.publish import publish_all
from tests.helpers import task_models
from tests.helpers.sounds import spelled, wav_of
from tests.helpers.text_models import cases


def picture() -> bytes:
    file = BytesIO()
    Image.linear_gradient("L").resize((200, 100)).convert("RGB").save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module", params=["aws", "gcp"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder: Path = tmp_path_factory.mktemp("clients")
    registry = (folder / "registry").as_uri()
    models = [*task_models.candidates(), *task_models.picture_candidates()]
    publish_all(Registry(open_store(registry, create=True)), models)
    with serve(request.param, LocalSettings(registry, "digits", 0), log=folder / "log") as address:
        yield address


@pytest.fixture
def ask(url: str) -> Any:
    """Returns a client of Hugging Face for a model."""
    return lambda model: InferenceClient(model=f"{url}/models/{model}", token="none")


@pytest.fixture
def client(url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)


def test_image_classification(ask: Any) -> None:
    every, two = ask("digits").image_classification(picture()), ask("digits").image_classification(picture(), top_k=2)
    assert [entry.label for entry in every[:2]] == [entry.label for entry in two]
    assert every[0].score > every[1].score


def test_object_detection(ask: Any) -> None:
    found = ask("object-detection").object_detection(picture(), threshold=0.5)
    assert found
    assert {entry.label for entry in found} <= {"cat", "dog", "bird"}
    assert all(entry.score > 0.5 and entry.box.xmin < entry.box.xmax <= 200 for entry in found)
    assert len(ask("object-detection").object_detection(picture())) > len(found)


def test_image_segmentation(ask: Any) -> None:
    found = ask("image-segmentation").image_segmentation(picture())
    assert {entry.label for entry in found} == {"cat", "dog", "bird"}
    assert all(entry.mask.size == (200, 100) for entry in found)


def test_tabular_classification(ask: Any) -> None:
    """The client itself refuses tabular-regression, for which Hugging Face has no service."""
    assert ask("choices").tabular_classification({"one": ["1", "0"], "two": ["0", "1"]}) == ["second", "first"]


def test_audio_classification(ask: Any, tmp_path: Path) -> None:
    file = tmp_path / "sound.wav"
    file.write_bytes(wav_of(np.full(4000, 0.5), 8000))
    for sound in (file, str(file), file.read_bytes()):
        found = ask("loudness").audio_classification(sound, top_k=1)
        assert [(entry.label, round(entry.score, 2)) for entry in found] == [("quiet", 0.75)]
    (none, _) = ask("loudness").audio_classification(file.read_bytes(), function_to_apply="sigmoid")
    assert none.score == pytest.approx(0.679, abs=1e-3)


def test_automatic_speech_recognition(ask: Any) -> None:
    assert ask("spelling").automatic_speech_recognition(spelled("hhe_l_lo|he")).text == "hello he"


def test_text_classification(ask: Any) -> None:
    for case in (case for case in cases("text-classification") if isinstance(case["inputs"], str)):
        found = ask("text-classification").text_classification(case["inputs"], top_k=3)
        assert [entry.label for entry in found] == [entry["label"] for entry in case["answer"]]
        expected = [entry["score"] for entry in case["answer"]]
        np.testing.assert_allclose([entry.score for entry in found], expected, atol=1e-5)


def test_token_classification(ask: Any) -> None:
    for case in cases("token-classification")[:20]:
        found = ask("token-classification").token_classification(case["inputs"], **case["parameters"])
        places = [(entry["start"], entry["end"], entry["word"]) for entry in case["answer"]]
        assert [(entry.start, entry.end, entry.word) for entry in found] == places


def test_fill_mask(ask: Any) -> None:
    case = cases("fill-mask")[0]
    found = ask("fill-mask").fill_mask(case["inputs"])
    assert [(entry.token, entry.sequence) for entry in found] == [
        (entry["token"], entry["sequence"]) for entry in case["answer"]
    ]


def test_question_answering(ask: Any) -> None:
    case = cases("question-answering")[0]
    found = ask("question-answering").question_answering(**case["inputs"], **case["parameters"])
    assert (found.answer, found.start, found.end) == tuple(case["answer"][name] for name in ("answer", "start", "end"))
    several = ask("question-answering").question_answering(**case["inputs"], top_k=2)
    assert len(several) == 2


def test_zero_shot_classification(ask: Any) -> None:
    case = cases("zero-shot-classification")[0]
    found = ask("zero-shot-classification").zero_shot_classification(case["inputs"], **case["parameters"])
    assert [entry.label for entry in found] == case["answer"]["labels"]
    np.testing.assert_allclose([entry.score for entry in found], case["answer"]["scores"], atol=1e-5)


def test_feature_extraction_and_sentence_similarity(ask: Any) -> None:
    texts = ["It is warm.", "It is cold.", "It is warm."]
    vectors = [ask("feature-extraction").feature_extraction(text) for text in texts]
    assert vectors[0].shape == (16,)
    scores = ask("feature-extraction").sentence_similarity(texts[0], texts[1:])
    np.testing.assert_allclose(scores, [vectors[0] @ vectors[1], 1], atol=1e-5)
    plain = ask("feature-extraction").feature_extraction(texts[0], normalize=False)
    np.testing.assert_allclose(plain / np.linalg.norm(plain), vectors[0], atol=1e-5)


def test_a_wrong_parameter_is_a_400_that_names_it(ask: Any) -> None:
    with pytest.raises(HfHubHTTPError) as caught:
        ask("text-classification").text_classification("a", top_k=0)
    assert caught.value.response is not None
    assert caught.value.response.status_code == 400
    assert "top_k: expected an integer from 1 to " in caught.value.response.text


def test_openai_embeddings(client: openai.OpenAI, ask: Any) -> None:
    texts = ["It is warm.", "Привет, мир!"]
    found = client.embeddings.create(model="feature-extraction", input=texts)
    expected = [ask("feature-extraction").feature_extraction(text) for text in texts]
    np.testing.assert_allclose([entry.embedding for entry in found.data], expected, atol=1e-6)
    plain = client.embeddings.create(model="feature-extraction", input=texts, encoding_format="float")
    np.testing.assert_allclose([entry.embedding for entry in plain.data], expected, atol=1e-6)
    assert [entry.index for entry in found.data] == [0, 1]
    assert found.usage.prompt_tokens == found.usage.total_tokens > 4


def test_openai_errors_have_its_form(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="dimensions") as caught:
        client.embeddings.create(model="feature-extraction", input="a", dimensions=3)
    assert caught.value.code == "invalid_request"
    with pytest.raises(openai.NotFoundError):
        client.embeddings.create(model="absent", input="a")


def test_openai_lists_and_retrieves_the_models(client: openai.OpenAI) -> None:
    assert {model.id for model in client.models.list()} >= {"digits", "feature-extraction"}
    assert client.models.retrieve("feature-extraction").id == "feature-extraction"


@pytest.mark.parametrize("model", ["text-ranking", "feature-extraction"])
def test_rerank(client: openai.OpenAI, model: str) -> None:
    body = {"model": model, "query": "warm?", "documents": ["It is cold.", {"text": "It is warm."}, "a"], "top_n": 2}
    found: Any = client.post("/rerank", body={**body, "return_documents": True}, cast_to=object)
    scores = [entry["relevance_score"] for entry in found["results"]]
    assert len(scores) == 2
    assert scores == sorted(scores, reverse=True)
    assert found["results"][0]["document"]["text"] in {"It is cold.", "It is warm.", "a"}
