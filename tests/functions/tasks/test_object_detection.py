import pytest
from PIL import Image

from onnxlet.errors import InvalidRequestError
from onnxlet.models.model import Model
from onnxlet.record import replace
from tests.helpers.picture_models import DETECTION, answers, opened

WHITE = Image.new("RGB", (64, 64), "white")
WIDE = Image.new("RGB", (800, 400), "white")  # larger than what is resized by the graph; half of the input is padding


@pytest.fixture(scope="module")
def detector() -> Model:
    return opened(DETECTION)


def test_objects_have_boxes_in_the_pixels_of_the_picture(detector: Model) -> None:
    (found,) = answers(detector, WHITE)
    assert found == [
        {"label": "dog", "score": pytest.approx(1.0), "box": {"xmin": 16, "ymin": 16, "xmax": 48, "ymax": 48}},
        {"label": "cat", "score": pytest.approx(0.75), "box": {"xmin": 0, "ymin": 24, "xmax": 32, "ymax": 40}},
    ]


def test_each_picture_of_a_batch_has_its_own_size(detector: Model) -> None:
    small, wide = answers(detector, WHITE, WIDE, threshold=0.1)
    assert [found["box"] for found in small] == [found["box"] for found in answers(detector, WHITE)[0]]
    assert [found["box"] for found in wide] == [
        {"xmin": 200, "ymin": 0, "xmax": 600, "ymax": 400},
        {"xmin": 0, "ymin": 100, "xmax": 400, "ymax": 300},
    ]


@pytest.mark.parametrize(("threshold", "count"), [(0.1, 2), (0.8, 1), (1.0, 0), ("0.8", 1)])
def test_a_request_may_name_a_threshold(detector: Model, threshold: object, count: int) -> None:
    assert len(answers(detector, WHITE, threshold=threshold)[0]) == count


def test_the_declared_threshold_counts_unless_a_request_names_another() -> None:
    strict = opened(replace(DETECTION, threshold=0.9))
    assert len(answers(strict, WHITE)[0]) == 1
    assert len(answers(strict, WHITE, threshold=0.5)[0]) == 2


@pytest.mark.parametrize("parameters", [{"threshold": 2}, {"threshold": "high"}, {"top_k": 3}])
def test_another_parameter_is_refused(detector: Model, parameters: dict[str, object]) -> None:
    with pytest.raises(InvalidRequestError):
        answers(detector, WHITE, **parameters)


def test_a_class_without_a_label_has_its_number() -> None:
    (found,) = answers(opened(replace(DETECTION, labels=("cat",))), WHITE)
    assert [item["label"] for item in found] == ["1", "cat"]
