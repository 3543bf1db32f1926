import copy
from typing import Any

import orjson
import pytest

from onnxlet.contract.declarations import Classification, ImagePreprocess, parse_preprocess
from onnxlet.contract.document import Document
from onnxlet.contract.manifest import Manifest
from onnxlet.errors import ManifestError
from onnxlet.record import replace
from tests.helpers.damage import resealed
from tests.helpers.manifests import MANIFEST


def read(document: Any) -> Manifest:
    return Manifest.from_json(resealed(document), "manifest")


@pytest.mark.parametrize("activation", ["none", "softmax", "sigmoid"])
def test_an_activation_is_kept(activation: str) -> None:
    document = copy.deepcopy(MANIFEST.to_document())
    document["classification"]["activation"] = activation
    assert read(document).classification == Classification(("yes", "no"), activation)


def test_an_image_is_prepared_as_keras_does_where_nothing_else_is_said() -> None:
    found = parse_preprocess(Document({"height": 2, "width": 3, "channels": 3}, "preprocess"))
    assert found == ImagePreprocess(2, 3, 3, layout="NHWC", scale=1 / 255, mean=(0.0,), std=(1.0,))


def test_the_channels_may_share_a_mean_or_have_one_each() -> None:
    declared = ImagePreprocess(2, 3, 3, "NCHW", 1.0, (1.0,), (4.0, 5.0, 6.0))
    assert read(orjson.loads(replace(MANIFEST, preprocess=declared).to_json())).preprocess == declared
    with pytest.raises(ManifestError, match=r"manifest\.preprocess\.mean: expected a list of 1 or 3 numbers, got"):
        read(orjson.loads(replace(MANIFEST, preprocess=replace(declared, mean=(1.0, 2.0))).to_json()))


BASE = {"height": 20, "width": 30, "channels": 3}

NEWER = [
    {"fit": "letterbox", "pad_value": 114.0},
    {"fit": "pad", "pad_value": 0.5},
    {"fit": "crop", "shorter_side": 36, "margins": "even"},
    {"colours": "BGR", "resampling": "bicubic"},
    {"antialias": False},
]


@pytest.mark.parametrize("fields", NEWER, ids=str)
def test_how_an_image_is_fitted_is_kept(fields: dict[str, Any]) -> None:
    declared = parse_preprocess(Document(BASE | fields, "preprocess"))
    assert all(getattr(declared, name) == value for name, value in fields.items())
    assert parse_preprocess(Document(declared.to_document(), "preprocess")) == declared


def test_a_declaration_without_newer_fields_is_stored_as_before() -> None:
    names = {"height", "width", "channels", "layout", "scale", "mean", "std"}
    assert ImagePreprocess(2, 3, 3).to_document().keys() == names
    assert ImagePreprocess(2, 3, 3, fit="pad").to_document().keys() == names | {"fit"}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"crop": 3}, "the field 'crop' is unknown"),
        ({"fit": "squeeze"}, "fit: expected one of stretch, letterbox, pad, crop, got 'squeeze'"),
        ({"fit": "crop"}, "the field 'shorter_side' is missing"),
        ({"fit": "crop", "shorter_side": 29}, "shorter_side: expected an integer from 30 to 120, got 29"),
        ({"shorter_side": 36}, "shorter_side: expected no such field for the fit stretch, got 36"),
        ({"fit": "letterbox", "margins": "even"}, "margins: expected no such field for the fit letterbox, got 'even'"),
        ({"pad_value": 0.0}, "pad_value: expected no such field for the fit stretch, got 0.0"),
        ({"fit": "letterbox", "pad_value": 256}, "pad_value: expected a number from 0 to 255, got 256"),
        ({"colours": "GBR"}, "colours: expected one of RGB, BGR, got 'GBR'"),
        ({"channels": 1, "colours": "BGR"}, "colours: expected one of RGB, got 'BGR'"),
        ({"resampling": "nearest"}, "resampling: expected one of bilinear, bicubic, got 'nearest'"),
        ({"antialias": 1}, "antialias: expected true or false, got 1"),
        ({"antialias": False, "resampling": "bicubic"}, "antialias: expected true for bicubic resampling, got False"),
    ],
    ids=str,
)
def test_a_field_that_does_not_fit_is_refused(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ManifestError) as caught:
        parse_preprocess(Document(BASE | fields, "preprocess"))
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "size", "wanted"),
    [
        ({}, (90, 10), (30, 20)),
        ({"fit": "letterbox"}, (90, 10), (30, 3)),
        ({"fit": "letterbox"}, (10, 90), (2, 20)),
        ({"fit": "pad"}, (15, 5), (30, 10)),
        ({"fit": "letterbox"}, (4096, 1), (30, 1)),
        ({"fit": "crop", "shorter_side": 36}, (90, 10), (324, 36)),
        ({"fit": "crop", "shorter_side": 36}, (10, 91), (36, 327)),
    ],
    ids=str,
)
def test_an_image_is_resized_before_it_is_padded_or_cropped(
    fields: dict[str, Any], size: tuple[int, int], wanted: tuple[int, int]
) -> None:
    assert parse_preprocess(Document(BASE | fields, "preprocess")).resized(*size) == wanted
