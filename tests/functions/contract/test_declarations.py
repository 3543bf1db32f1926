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
