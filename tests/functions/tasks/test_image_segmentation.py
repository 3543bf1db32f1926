from base64 import b64decode
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image

from onnxlet.errors import InvalidRequestError, TooLargeError
from onnxlet.limits import MIB
from onnxlet.limits.memory import Budget
from onnxlet.models.model import Model
from onnxlet.protocols import payloads
from onnxlet.protocols.reader import Reader
from onnxlet.record import replace
from tests.helpers.image_files import encode
from tests.helpers.picture_models import BRIGHTNESS, SEGMENTATION, answers, opened


def flag(width: int, height: int) -> Image.Image:
    """Return a picture whose left third is red, and whose rest is blue."""
    picture = Image.new("RGB", (width, height), "blue")
    picture.paste("red", (0, 0, width // 3, height))
    return picture


def pixels(mask: str) -> np.ndarray:
    image = Image.open(BytesIO(b64decode(mask)))
    assert (image.format, image.mode) == ("PNG", "L")
    return np.asarray(image)


@pytest.fixture(scope="module")
def segmenter() -> Model:
    return opened(SEGMENTATION)


@pytest.mark.parametrize("size", [(60, 40), (900, 600)])
def test_each_class_has_a_mask_at_the_pictures_size(segmenter: Model, size: tuple[int, int]) -> None:
    (found,) = answers(segmenter, flag(*size))
    assert [(item["label"], item["score"]) for item in found] == [("blue", None), ("red", None)]
    blue, red = (pixels(item["mask"]) for item in found)
    assert blue.shape == (size[1], size[0])
    assert (blue.astype(int) + red == 255).all()
    assert (red == 255).mean() == pytest.approx(1 / 3, abs=0.03)
    assert (red[:, : size[0] // 4] == 255).all()


def test_pictures_of_one_batch_have_masks_of_their_own_sizes(segmenter: Model) -> None:
    small, large = answers(segmenter, flag(60, 40), flag(90, 30))
    assert [pixels(found[0]["mask"]).shape for found in (small, large)] == [(40, 60), (30, 90)]


def test_a_mask_has_the_label_of_what_is_above_its_threshold() -> None:
    model = opened(BRIGHTNESS)
    picture = Image.new("RGB", (60, 60), (90, 90, 90))
    picture.paste("white", (0, 0, 60, 30))
    (found,) = answers(model, picture)
    assert [item["label"] for item in found] == ["bright"]
    assert (pixels(found[0]["mask"]) > 0).mean() == pytest.approx(0.5, abs=0.03)
    assert (pixels(answers(model, picture, mask_threshold=0.2)[0][0]["mask"]) > 0).all()
    assert answers(model, Image.new("RGB", (60, 60)))[0] == []


def draw(model: Model, *pictures: Image.Image) -> list[bytes | None]:
    rows = [next(payloads.decode(Reader(model.manifest), "image/png", encode(picture)).rows) for picture in pictures]
    return [prediction.picture for prediction in model.predict(rows)]


def test_all_masks_become_one_png_whose_pixels_are_the_classes() -> None:
    (file,) = draw(opened(replace(SEGMENTATION, at_most=2)), flag(60, 40))
    assert file is not None
    image = Image.open(BytesIO(file))
    assert (image.format, image.mode, image.size) == ("PNG", "P", (60, 40))
    assert (image.getpixel((5, 5)), image.getpixel((55, 5))) == (1, 3)
    assert image.convert("RGB").getpixel((55, 5)) == (128, 128, 0)  # PASCAL VOC's third colour


@pytest.mark.parametrize("parameters", [{"subtask": "semantic"}, {"threshold": 0.4}, {"mask_threshold": 0.4}])
def test_parameters_of_hugging_face_are_taken(segmenter: Model, parameters: dict[str, Any]) -> None:
    assert answers(segmenter, flag(60, 40), **parameters) == answers(segmenter, flag(60, 40))


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"subtask": "instance"}, "subtask: expected semantic, got instance"),
        ({"subtask": "all"}, "subtask: expected one of instance, panoptic, semantic, got"),
        ({"overlap_mask_area_threshold": 0.5}, "expected one of this model's parameters"),
    ],
    ids=str,
)
def test_masks_of_another_kind_are_refused(segmenter: Model, parameters: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        answers(segmenter, flag(60, 40), **parameters)
    assert words in str(caught.value)


def test_the_memory_of_masks_is_counted(segmenter: Model) -> None:
    picture = encode(flag(2000, 1000))
    rows = list(payloads.decode(Reader(segmenter.manifest), "image/png", picture).rows)
    with Budget(100 * MIB).share(), pytest.raises(TooLargeError):
        segmenter.predict(rows)
