import numpy as np
import pytest

from onnxlet.contract.declarations import ImagePreprocess
from onnxlet.contract.tasks import pictures
from onnxlet.contract.tasks.pictures import ImageSegmentation
from onnxlet_publishing.tasks.masks import segmentation_graph
from tests.helpers import picture_outputs as heads

STRETCH = ImagePreprocess(80, 80, 3, "NCHW")
LETTERBOX = ImagePreprocess(80, 80, 3, "NCHW", fit="letterbox")


def segment(
    task: ImageSegmentation, preprocess: ImagePreprocess, size: tuple[int, int], *outputs: heads.Floats, at: float = 0.5
) -> list[np.ndarray]:
    graph = segmentation_graph(task, preprocess, heads.specs(outputs))
    thresholds = {"threshold": 0.5, "mask_threshold": at}
    return heads.run(graph, outputs, size, **thresholds)


def segmenter(head: str, *labels: str, activation: str = "none", at_most: int = 100) -> ImageSegmentation:
    names = ("first", "second")[: pictures.SEGMENTATION_HEADS[head]]
    return ImageSegmentation("image-segmentation", names, head, labels, activation, at_most=at_most)


def half(left: float, right: float, side: int = 20) -> heads.Floats:
    """Return a plane whose left and right halves have one number each."""
    return np.repeat([[left, right]], side // 2, axis=1).repeat(side, axis=0)[None, None].astype(np.float32)


def test_each_pixel_gets_its_best_class_at_the_pictures_size() -> None:
    logits = np.concatenate([half(3, 0), half(0, 2), half(1, 1)], axis=1)
    masks, scores, classes = segment(segmenter("classes", "a", "b", "c"), STRETCH, (40, 60), logits)
    assert classes.tolist() == [0, 1]  # the larger one first; a class without a pixel is no answer
    assert masks.shape == (2, 40, 60)
    assert np.isnan(scores).all()
    assert set(np.unique(masks)) == {0, 255}
    assert (masks[0, :, :25] == 255).all()
    assert (masks[1, :, 35:] == 255).all()
    assert (masks[0].astype(int) + masks[1] == 255).all()


def test_only_the_largest_of_too_many_classes_are_answered() -> None:
    logits = np.concatenate([half(0, 2), half(30, 0)], axis=1)
    masks, _, classes = segment(segmenter("classes", "a", "b", at_most=1), STRETCH, (40, 60), logits)
    assert (len(masks), classes.tolist()) == (1, [1])


def test_the_padding_of_a_letterbox_is_cut_off() -> None:
    logits = np.full((1, 2, 20, 20), -1, np.float32)
    logits[:, 0] = 0
    logits[:, 1, 5:15] = 1  # the picture is half as high as it is wide
    masks, _, classes = segment(segmenter("classes", "padding", "picture"), LETTERBOX, (30, 60), logits)
    assert classes.tolist() == [1]
    assert (masks == 255).all()


@pytest.mark.parametrize(("activation", "low", "high"), [("none", 0.4, 0.9), ("sigmoid", -0.4, 2.2)])
def test_one_number_for_a_pixel_is_compared_with_the_threshold(activation: str, low: float, high: float) -> None:
    output = half(low, high)
    task = segmenter("mask", "road", activation=activation)
    for at, share in ((0.3, 1.0), (0.5, 0.5), (0.8, 0.5)):
        masks, _, classes = segment(task, STRETCH, (40, 40), output, at=at)
        assert classes.tolist() == [0]
        assert (masks > 0).mean() == pytest.approx(share, abs=0.05)
    assert segment(task, STRETCH, (40, 40), output, at=0.95)[0].shape == (0, 40, 40)


def test_the_rest_of_the_picture_may_have_a_label_of_its_own() -> None:
    masks, _, classes = segment(segmenter("mask", "rest", "road"), STRETCH, (40, 40), half(0.1, 0.9))
    assert classes.tolist() == [0, 1]
    assert (masks[0].astype(int) + masks[1] == 255).all()
    assert (masks[1, :, 25:] == 255).all()


def instances(*boxes: tuple[float, float, float, float]) -> heads.Floats:
    """Return end-to-end rows with one coefficient of 1 for the first prototype."""
    rows = [[*box, 0.9 - 0.1 * index, 0, 1, 0] for index, box in enumerate(boxes)]
    return np.array(rows, np.float32)[None]


def test_a_mask_lies_inside_of_its_box() -> None:
    prototypes = np.concatenate([half(-2, 2), half(0, 0)], axis=1)
    rows = instances((0, 0, 80, 40), (0, 0, 20, 80))
    masks, scores, classes = segment(segmenter("end-to-end", "cat"), STRETCH, (40, 60), rows, prototypes)
    assert (len(masks), classes.tolist()) == (1, [0])  # the second box has no pixel
    assert scores.tolist() == pytest.approx([0.9])
    assert (masks[0, :20, 35:] == 255).all()
    assert not masks[0, 20:].any()
    assert not masks[0, :, :25].any()


def test_the_threshold_of_masks_is_a_probability() -> None:
    prototypes = np.concatenate([half(-2, 2), half(0, 0)], axis=1)  # 0.12 and 0.88
    task, rows = segmenter("end-to-end", "cat"), instances((0, 0, 80, 80))
    for at, share in ((0.1, 1.0), (0.6, 0.5)):
        (masks, _, _) = segment(task, STRETCH, (40, 60), rows, prototypes, at=at)
        assert (masks > 0).mean() == pytest.approx(share, abs=0.05)
    assert len(segment(task, STRETCH, (40, 60), rows, prototypes, at=0.9)[0]) == 0


def test_nothing_found_is_an_answer_without_masks() -> None:
    prototypes = np.concatenate([half(-2, 2), half(0, 0)], axis=1)
    rows = instances((0, 0, 80, 80)) * np.array([1, 1, 1, 1, 0.1, 1, 1, 1], np.float32)
    masks, scores, classes = segment(segmenter("end-to-end", "cat"), LETTERBOX, (40, 60), rows, prototypes)
    assert (len(masks), scores.shape, classes.shape) == (0, (0,), (0,))


def test_masks_of_a_large_picture_are_as_many_as_fit_into_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onnxlet_publishing.tasks.masks.MAX_MASK_BYTES", 2 * 40 * 60)
    prototypes = np.concatenate([half(2, 2), half(0, 0)], axis=1)
    rows = instances(*[(0, 0, 80, 80)] * 4)
    assert len(segment(segmenter("end-to-end", "cat"), STRETCH, (40, 60), rows, prototypes)[0]) == 2
    assert len(segment(segmenter("end-to-end", "cat"), STRETCH, (400, 60), rows, prototypes)[0]) == 1
