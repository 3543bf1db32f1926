import uuid

import numpy as np
import pytest

from onnxlet.contract.tensors import DATATYPES, MAX_VALUES, Tensor
from onnxlet.errors import DeadlineError, TooLargeError
from onnxlet.limits import MAX_LABELS, deadline
from onnxlet.models.loading import load
from onnxlet.models.model import Model
from onnxlet.protocols import payloads
from onnxlet.registry.registry import Registry
from onnxlet.storage import open_store
from onnxlet.tasks.rows import Batch, Prediction
from onnxlet.web.app import App
from onnxlet_publishing.publish import publish
from tests.helpers import graphs
from tests.helpers.payload_requests import post, predictions


@pytest.fixture(scope="module")
def halves() -> Model:
    registry = Registry(open_store(f"memory://{uuid.uuid4()}"))
    return load(registry, publish(registry, graphs.halves_candidate()), threads=1)


def row(*, is_image: bool = True) -> Batch:
    return Batch({"x": Tensor(DATATYPES["FP32"], (1, 1), memoryview(bytes(4)))}, 1, is_image)


def outputs(model: Model, width: int) -> dict[str, Tensor]:
    buffer = memoryview(np.zeros(width, np.float32).tobytes())
    return {spec.name: Tensor(DATATYPES["FP32"], (1, width), buffer) for spec in model.manifest.outputs}


def test_the_labels_of_all_rows_together_are_bounded(halves: Model) -> None:
    """A request of many instances is many batches of one row: each alone is far below the bound."""
    many = MAX_LABELS // 2 + 1
    with pytest.raises(TooLargeError, match=f"expected at most {MAX_LABELS} labels in all, got {many} rows with 2"):
        halves.to_predictions([row()] * many, [outputs(halves, 2)] * many)
    assert len(payloads.encode(halves.to_predictions([row()] * 3, [outputs(halves, 2)] * 3))) == 3


def test_the_values_of_all_rows_together_are_bounded(halves: Model) -> None:
    large = outputs(halves, MAX_VALUES // 10)
    with pytest.raises(TooLargeError, match=f"expected at most {MAX_VALUES} in JSON"):
        payloads.encode([Prediction(row(is_image=False), large)] * 10)


def test_no_more_predictions_are_made_when_the_time_is_over(halves: Model) -> None:
    with deadline.within(0), pytest.raises(DeadlineError):
        payloads.encode([Prediction(row(is_image=False), outputs(halves, 2))])
    with deadline.within(0), pytest.raises(DeadlineError):
        halves.to_predictions([row()], [outputs(halves, 2)])


class TestMediaTypes:
    @pytest.mark.parametrize(
        "declared",
        [
            "",
            "application/octet-stream",
            "binary/octet-stream",
            "application/x-www-form-urlencoded",
            "text/plain",
            "Text/Plain; charset=UTF-8",
            "text/json",
            "application/vnd.api+json",
            "application/geo+json; charset=utf-8",
            "application/json; charset=utf-8",
            " APPLICATION/JSON ;charset=ISO-8859-1",
            "application/json, application/json",
        ],
    )
    def test_json_is_known_by_every_name_that_clients_have_for_it(self, app: App, declared: str) -> None:
        for body in (b"[[1, 2, 3]]", b"\n [[1,2,3]]", b'\xef\xbb\xbf{"instances": [[1, 2, 3]]}'):
            assert predictions(app, "sums", body, declared) == [6.0]

    def test_json_sent_as_text_is_a_text_for_a_model_of_texts(self, app: App) -> None:
        assert predictions(app, "text", b"[[1]]", "text/plain") == ["[[1]]"]

    @pytest.mark.parametrize("declared", ["application/xml", "audio/mpeg", "video/mp4", "application/zip"])
    def test_another_media_type_is_a_415_that_names_it(self, app: App, declared: str) -> None:
        status, answer = post(app, "/predict/sums", b"[[1, 2, 3]]", declared)
        assert (status, answer["error"].endswith(declared)) == (415, True)

    def test_a_model_without_columns_takes_no_csv(self, app: App) -> None:
        status, answer = post(app, "/predict/sums", b"1,2,3\n", "text/csv")
        assert (status, "has no columns" in answer["error"]) == (415, True)

    def test_each_line_of_json_lines_is_an_instance(self, app: App) -> None:
        body = b"[1, 2, 3]\n[4, 5, 6]\n"
        assert predictions(app, "sums", body, "application/x-ndjson") == predictions(
            app, "sums", [[1, 2, 3], [4, 5, 6]]
        )


class TestText:
    def test_text_is_one_string(self, app: App) -> None:
        assert predictions(app, "text", "grüße".encode(), "text/plain; charset=utf-8") == ["grüße"]

    @pytest.mark.parametrize(
        ("charset", "encoding"),
        [
            ("utf-8", "utf-8-sig"),
            ("UTF8", "utf-8"),
            ('"utf-8"', "utf-8"),
            ("us-ascii", "utf-8"),
            ("ISO-8859-1", "latin-1"),
            ("windows-1252", "cp1252"),
            ("utf-16", "utf-16"),
        ],
    )
    def test_text_is_read_in_its_character_set(self, app: App, charset: str, encoding: str) -> None:
        media_type = f"Text/Plain; format=flowed; charset={charset}"
        assert predictions(app, "text", "grüße".encode(encoding), media_type) == ["grüße"]

    def test_another_character_set_is_refused(self, app: App) -> None:
        assert post(app, "/predict/text", b"text", "text/plain; charset=utf-7")[0] == 415
        assert post(app, "/predict/text", b"t", "text/plain; charset=utf-16")[0] == 422

    def test_a_model_of_numbers_takes_none(self, app: App) -> None:
        assert post(app, "/predict/sums", b"text", "text/plain")[0] == 415
        assert post(app, "/predict/text", b"\xff", "text/plain")[0] == 422
