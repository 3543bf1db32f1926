import copy
import math
from typing import Any

import numpy as np
import orjson
import pytest

from onnxlet.contract.document import Document
from onnxlet.contract.manifest import Manifest
from onnxlet.contract.tensors import DATATYPES, Tensor
from onnxlet.contract.training_statistics import MAX_NUMBERS, Distribution, TrainingStatistics, measures
from onnxlet.errors import ManifestError
from onnxlet.record import replace
from onnxlet_publishing.graphs import to_tensor
from tests.helpers.damage import resealed
from tests.helpers.manifests import MANIFEST

STATISTICS = TrainingStatistics((3, 7), {"confidence": Distribution((0.5, 0.9), (1, 2, 7), 0.91)})
DOCUMENT: dict[str, Any] = orjson.loads(orjson.dumps(STATISTICS.to_document()))


def read(document: Any) -> TrainingStatistics:
    return TrainingStatistics.from_document(Document(document, "reference"))


def test_a_reference_survives_being_written_and_read() -> None:
    assert read(DOCUMENT) == STATISTICS


def test_it_is_a_part_of_the_manifest_that_may_be_absent() -> None:
    written = replace(MANIFEST, training_statistics=STATISTICS.to_document()).to_json()
    found = Manifest.from_json(written, "manifest").training_statistics
    assert found is not None
    assert read(dict(found)) == STATISTICS
    assert Manifest.from_json(MANIFEST.to_json(), "manifest").training_statistics is None


@pytest.mark.parametrize("value", [1, "x", []])
def test_a_manifest_whose_reference_is_no_object_is_refused(value: Any) -> None:
    document = {**MANIFEST.to_document(), "reference": value}
    with pytest.raises(ManifestError, match=r"manifest\.reference"):
        Manifest.from_json(resealed(document), "manifest")


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("cuts", [], "cuts"),
        ("cuts", [0.9, 0.5], "ascending"),
        ("cuts", [0.5, 0.5], "ascending"),
        ("cuts", [0.5, "x"], "cuts"),
        ("counts", [1, 2], "3 counts, one more than cuts"),
        ("counts", [1, 2, -1], "counts"),
        ("counts", [1, 2, True], "counts"),
        ("counts", [1, 2, 0.5], "counts"),
        ("mean", None, "mean"),
    ],
)
def test_a_malformed_distribution_is_named(field: str, value: Any, words: str) -> None:
    document = copy.deepcopy(DOCUMENT)
    document["measures"]["confidence"][field] = value
    with pytest.raises(ManifestError, match=r"reference\.measures\.confidence") as caught:
        read(document)
    assert words in str(caught.value)


@pytest.mark.parametrize("change", [{"labels": []}, {"labels": "x"}, {"measures": []}, {"labels": [1.5]}])
def test_a_malformed_reference_is_named(change: dict[str, Any]) -> None:
    with pytest.raises(ManifestError, match=r"reference"):
        read({**DOCUMENT, **change})


def test_a_value_at_a_cut_is_above_it() -> None:
    assert STATISTICS.measures["confidence"].count([0.1, 0.5, 0.6, 0.9, 1.0, 2.0]) == (1, 2, 3)


def test_few_numbers_have_a_measure_each_and_many_their_mean_and_spread() -> None:
    few = np.arange(MAX_NUMBERS, dtype=np.float32).reshape(4, -1)
    assert measures("x", to_tensor(few)) == {f"x[{index}]": float(index) for index in range(MAX_NUMBERS)}
    many = np.random.default_rng(0).normal(3, 2, (28, 28)).astype(np.float32)
    found = measures("x", to_tensor(many))
    assert found == pytest.approx({"x.mean": many.mean(), "x.spread": many.std()}, rel=1e-5)


def test_of_very_many_numbers_a_part_is_measured() -> None:
    values = np.random.default_rng(0).normal(3, 2, (100, 100, 30)).astype(np.float32)
    found = measures("x", to_tensor(values))
    assert found["x.mean"] == pytest.approx(3, abs=0.15)
    assert found["x.spread"] == pytest.approx(2, abs=0.15)
    assert not math.isclose(found["x.mean"], values.mean(), rel_tol=1e-9)


def test_texts_have_no_measures() -> None:
    assert measures("x", Tensor(DATATYPES["BYTES"], (1,), memoryview(b"\1\0\0\0a"))) == {}
