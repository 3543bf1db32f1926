import pytest

from onnxlet.contract.document import Document
from onnxlet.errors import ManifestError
from onnxlet.observe.capture import SCHEMA
from onnxlet_cli.drift.samples import Samples


def test_rows_are_collected_by_label_and_by_measure() -> None:
    samples = Samples()
    rows = [{"measures": {"x.mean": 0.5}, "label": "cat", "confidence": 0.9}, {"measures": {"x.mean": 0.25}}]
    samples.add(Document({"schema": SCHEMA, "rows": rows}, "capture"))
    assert (samples.requests, samples.labels) == (1, ["cat"])
    assert samples.measures == {"x.mean": [0.5, 0.25], "confidence": [0.9]}


def test_a_document_that_no_function_wrote_is_refused() -> None:
    with pytest.raises(ManifestError):
        Samples().add(Document({"schema": SCHEMA + 1, "rows": []}, "capture"))
