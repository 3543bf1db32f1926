"""Folders of pictures: the preprocessing is the one of transformers' own processors, and the head is known."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper
from PIL import Image
from transformers import CLIPImageProcessor, ConvNextImageProcessor, SegformerImageProcessor, ViTImageProcessor

from onnxlet.contract.declarations import PREPROCESS_INPUT, PREPROCESS_OUTPUT, ImagePreprocess
from onnxlet.errors import ManifestError
from onnxlet_publishing.errors import UsageError
from onnxlet_publishing.graphs import Graph
from onnxlet_publishing.importers import find, hugging_face, read
from onnxlet_publishing.importers.hugging_face.folder import Folder
from onnxlet_publishing.importers.hugging_face.pictures import find_settings
from onnxlet_publishing.importers.settings import Findings
from onnxlet_publishing.importers.source import Source
from onnxlet_publishing.onnx_file import OnnxFile, read_onnx
from onnxlet_publishing.picture_graph import preprocess_graph
from tests.helpers import graphs
from tests.helpers.hugging_face import with_labels, write_folder

STEP = 1 / 255
"""A pixel's smallest step: transformers rounds after it resizes."""


def write(folder: Path, *outputs: str, side: int | str = "side", **documents: Any) -> OnnxFile:
    """Write a folder of a model that computes nothing."""
    shape: list[int | str] = ["batch", 3, side, side]
    proto = graphs.model(
        [helper.make_node("Identity", ["pixel_values"], [name]) for name in outputs],
        [("pixel_values", TensorProto.FLOAT, shape)],
        [(name, TensorProto.FLOAT, shape) for name in outputs],
    )
    write_folder(folder, proto, tokenizer=None, tokenizer_config=None, **documents)
    return read_onnx(folder / "model.onnx")


def preprocess_of(folder: Path, config: dict[str, Any], side: int | str = "side") -> ImagePreprocess:
    model = write(folder, "logits", side=side, preprocessor_config=config)
    declaration: ImagePreprocess = find_settings(Folder(folder), model, "image-classification")["preprocess"].value
    return declaration


@pytest.mark.parametrize(
    "processor",
    [
        ViTImageProcessor(size={"height": 24, "width": 32}),
        ViTImageProcessor(size={"height": 32, "width": 32}, do_rescale=False, do_normalize=False, resample=3),
        SegformerImageProcessor(size={"height": 40, "width": 40}),
        ConvNextImageProcessor(size={"shortest_edge": 28}, crop_pct=0.875),
        ConvNextImageProcessor(size={"shortest_edge": 384}, crop_pct=0.875),
        CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 28, "width": 28}),
    ],
    ids=lambda processor: f"{type(processor).__name__}-{processor.size}",
)
def test_the_tensor_is_that_of_transformers_processor(tmp_path: Path, processor: Any) -> None:
    processor.save_pretrained(tmp_path)
    declaration = preprocess_of(tmp_path, json.loads((tmp_path / "preprocessor_config.json").read_text()))
    pixels = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
    picture = np.asarray(Image.fromarray(pixels).resize((97, 61), Image.Resampling.BICUBIC))
    (expected,) = processor(Image.fromarray(picture), return_tensors="np")["pixel_values"]
    (found,) = Graph(preprocess_graph(declaration)).run({PREPROCESS_INPUT: picture[None]}, PREPROCESS_OUTPUT)
    assert found.shape == expected.shape
    step = declaration.scale / min(declaration.std)
    assert np.abs(found - expected).max() <= 1.01 * step


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"size": 16}, ImagePreprocess(16, 16, 3, "NCHW")),
        (
            {"size": 20, "do_center_crop": True, "crop_size": 16, "do_rescale": True},
            ImagePreprocess(16, 16, 3, "NCHW", fit="crop", shorter_side=20),
        ),
        (
            {"size": {"height": 8, "width": 8}, "do_flip_channel_order": True},
            ImagePreprocess(8, 8, 3, "NCHW", colours="BGR"),
        ),
        (
            {"size": {"shortest_edge": 60, "longest_edge": 100}, "image_mean": [0.5], "image_std": [0.25]},
            ImagePreprocess(80, 80, 3, "NCHW", mean=(0.5,), std=(0.25,), fit="pad", pad_value=128.0),
        ),
        ({"do_resize": False}, ImagePreprocess(12, 12, 3, "NCHW")),
    ],
)
def test_older_and_other_forms_of_the_configuration_are_read(
    tmp_path: Path, config: dict[str, Any], expected: ImagePreprocess
) -> None:
    assert preprocess_of(tmp_path, config, side=12) == expected


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"size": {"height": 8, "width": 8}, "resample": 0}, "got resample 0"),
        ({"size": {"height": 8, "width": 8}, "rescale_offset": True}, "got rescale_offset"),
        ({"size": {"height": 9, "width": 9}, "do_center_crop": True, "crop_size": 8}, "got size .* with crop_size 8"),
        ({"size": {"max_height": 8}}, "got size"),
        ({"do_resize": False}, "got pictures of any size"),
    ],
)
def test_a_preprocessing_that_is_not_served_is_refused(tmp_path: Path, config: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=rf"preprocessor_config\.json: .*{words}.*: declare another with --preprocess"):
        preprocess_of(tmp_path, config)


def settings_of(folder: Path, *outputs: str, **config: Any) -> dict[str, Any]:
    document = {"size": {"height": 8, "width": 8}}
    write(folder, *outputs, config=config, preprocessor_config=document)
    file = folder / "model.onnx"
    found = hugging_face.recognise(Source(file, "m", "m", folder), read_onnx(file))
    assert isinstance(found, Findings)
    return {name: each.value for name, each in found.settings.items() if name != "preprocess"}


@pytest.mark.parametrize(("kind", "head"), [("detr", "detr"), ("yolos", "detr"), ("rt_detr", "rt-detr")])
def test_a_detectors_head_follows_from_its_type(tmp_path: Path, kind: str, head: str) -> None:
    config = {"architectures": ["XForObjectDetection"], "model_type": kind, **with_labels("cat", "dog")}
    assert settings_of(tmp_path, "logits", "pred_boxes", **config) == {
        "task": "object-detection",
        "labels": ("cat", "dog"),
        "head": head,
        "output": ("logits", "pred_boxes"),
        "threshold": 0.5,
    }


def test_a_segmenter_has_a_number_for_each_class_and_pixel(tmp_path: Path) -> None:
    config = {"architectures": ["SegformerForSemanticSegmentation"], **with_labels("sky", "sea")}
    found = settings_of(tmp_path, "logits", **config)
    assert (found["task"], found["head"], found["output"]) == ("image-segmentation", "classes", ("logits",))


@pytest.mark.parametrize(
    ("kind", "outputs", "output", "pooling"),
    [
        ("vit", ("last_hidden_state", "pooler_output"), "last_hidden_state", "cls"),
        ("swin", ("last_hidden_state",), "last_hidden_state", "mean"),
        ("clip_vision_model", ("last_hidden_state", "image_embeds"), "image_embeds", "none"),
    ],
)
def test_a_vector_is_the_first_the_mean_or_the_embedding(
    tmp_path: Path, kind: str, outputs: tuple[str, ...], output: str, pooling: str
) -> None:
    found = settings_of(tmp_path, *outputs, architectures=["XModel"], model_type=kind)
    assert (found["task"], found["output"], found["pooling"]) == ("image-feature-extraction", (output,), pooling)


def test_a_folder_without_preprocessing_names_the_file_that_it_lacks(tmp_path: Path) -> None:
    config = {"architectures": ["ViTForImageClassification"], **with_labels("cat", "dog")}
    write(tmp_path / "vit", "logits", config=config)
    (source,) = find(str(tmp_path / "vit"))
    with pytest.raises(UsageError, match=r"--preprocess: the task image-classification .*, got no preprocessor_config"):
        read(source)


@pytest.mark.parametrize(("size", "problem"), [({"height": 8, "width": -1}, "width"), ({"shortest_edge": 0}, "height")])
def test_a_preprocessing_is_checked_as_a_declared_one(tmp_path: Path, size: dict[str, int], problem: str) -> None:
    write(tmp_path, "last_hidden_state", config={"architectures": ["ViTModel"]}, preprocessor_config={"size": size})
    (source,) = find(str(tmp_path))
    with pytest.raises(ManifestError, match=problem):
        read(source, "vit")


def test_a_mean_without_a_deviation_is_refused(tmp_path: Path) -> None:
    processor = {"size": 8, "image_mean": [0.5], "image_std": None, "rescale_factor": None}
    write(tmp_path, "last_hidden_state", config={"architectures": ["ViTModel"]}, preprocessor_config=processor)
    (source,) = find(str(tmp_path))
    with pytest.raises(UsageError, match=r"got image_mean \[0\.5\] with image_std None"):
        read(source, "vit")
