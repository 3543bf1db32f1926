"""Segmenters' graphs compared with the postprocessing of Ultralytics and transformers."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from onnxlet.contract.declarations import ImagePreprocess
from onnxlet.contract.tasks.pictures import ImageSegmentation
from onnxlet_publishing.tasks.masks import segmentation_graph
from tests.helpers import originals
from tests.helpers import picture_outputs as heads

SIDE = heads.SIDE
SIZES = [(480, 640), (1080, 333), (50, 99), (300, 320), (304, 320)]
LABELS = tuple("abcdefgh")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("head", ["yolov8", "end-to-end"])
def test_masks_of_objects_are_those_of_ultralytics(head: str, size: tuple[int, int], tmp_path: Path) -> None:
    nms = originals.ultralytics("utils.nms", tmp_path)
    ops = originals.ultralytics("utils.ops", tmp_path)
    import torch

    output, prototypes = heads.yolov8(700, len(LABELS), coefficients=32), heads.prototypes()
    if head == "end-to-end":
        coefficients = np.random.default_rng(9).normal(0, 1, (1, 300, 32))
        output = np.concatenate([heads.end_to_end(300, len(LABELS)), coefficients], axis=2).astype(np.float32)
    found = nms.non_max_suppression(
        torch.tensor(output), 0.5, 0.7, max_det=100, nc=len(LABELS), end2end=head == "end-to-end"
    )[0]
    found[:, :4] = ops.scale_boxes((SIDE, SIDE), found[:, :4], size)
    expected = ops.process_mask_native(torch.tensor(prototypes[0]), found[:, 6:], found[:, :4], size).numpy()
    is_kept = expected.any(axis=(1, 2))

    letterbox = ImagePreprocess(SIDE, SIDE, 3, "NCHW", fit="letterbox", pad_value=114.0)
    task = ImageSegmentation("image-segmentation", ("first", "second"), head, LABELS)
    graph = segmentation_graph(task, letterbox, heads.specs([output, prototypes]))
    masks, scores, classes = heads.run(graph, [output, prototypes], size, threshold=0.5, mask_threshold=0.5)
    np.testing.assert_array_equal(scores, found[is_kept, 4])
    np.testing.assert_array_equal(classes, found[is_kept, 5])
    both = ((masks > 0) & (expected[is_kept] > 0)).sum(axis=(1, 2))
    either = ((masks > 0) | (expected[is_kept] > 0)).sum(axis=(1, 2))
    assert len(masks) > 50
    assert (both / either).min() >= 0.999


@pytest.mark.parametrize("size", SIZES)
def test_masks_of_classes_are_those_of_transformers(size: tuple[int, int]) -> None:
    torch = pytest.importorskip("torch", reason="needs `make torch`")
    transformers = pytest.importorskip("transformers", reason="needs transformers")
    logits = heads.logits(19, 64)
    processor = transformers.SegformerImageProcessor()
    outputs = SimpleNamespace(logits=torch.tensor(logits))
    (expected,) = processor.post_process_semantic_segmentation(outputs, target_sizes=[size])

    labels = tuple(map(str, range(19)))
    task = ImageSegmentation("image-segmentation", ("first",), "classes", labels)
    graph = segmentation_graph(task, ImagePreprocess(SIDE, SIDE, 3, "NCHW"), heads.specs([logits]))
    masks, _, classes = heads.run(graph, [logits], size, threshold=0.5, mask_threshold=0.5)
    assert set(classes.tolist()) == set(expected.unique().tolist())
    assert (masks.astype(int).sum(axis=0) == 255).all()
    same = sum(((mask > 0) & (expected.numpy() == number)).sum() for mask, number in zip(masks, classes, strict=True))
    assert same / masks[0].size >= 0.9999
