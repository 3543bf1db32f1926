import uuid

import numpy as np
import pytest

from onnxlet import deadline
from onnxlet.contract.tensors import DATATYPES, MAX_VALUES, Tensor
from onnxlet.errors import DeadlineError, TooLargeError
from onnxlet.limits import MAX_LABELS
from onnxlet.models.batches import Batch, Prediction
from onnxlet.models.loading import load
from onnxlet.models.model import Model
from onnxlet.protocols import payloads
from onnxlet.registry.registry import Registry
from onnxlet.storage import open_store
from onnxlet_publishing.publish import publish
from tests.helpers import graphs


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
