import pytest

from onnxlet.contract.manifest import Manifest
from onnxlet.models.model import Model
from onnxlet.observe.model_statistics import MAX_VERSIONS, Statistics
from onnxlet.record import replace
from onnxlet_publishing.gate import check
from tests.helpers import graphs


@pytest.fixture(scope="module")
def manifest() -> Manifest:
    model: Model = check(graphs.candidate("two", graphs.two_inputs()))
    return model.manifest


def test_versions_that_come_for_ever_are_not_counted_for_ever(manifest: Manifest) -> None:
    statistics = Statistics()
    for version in range(1, 3 * MAX_VERSIONS):
        is_success = version % 2 == 0
        statistics.record(replace(manifest, version=version), is_success=is_success, total_s=1.0, steps={})
    counted = statistics.to_document(None, None, lambda _name: True)["model_stats"]
    assert len(counted) == MAX_VERSIONS
    assert counted[-1]["version"] == str(3 * MAX_VERSIONS - 1)


def test_a_version_that_still_answers_is_counted_on(manifest: Manifest) -> None:
    statistics = Statistics()
    for version in range(2, MAX_VERSIONS + 1):
        statistics.record(replace(manifest, version=version), is_success=False, total_s=1.0, steps={})
    for version in (1, MAX_VERSIONS + 1, 1):
        statistics.record(replace(manifest, version=version), is_success=True, total_s=1.0, steps={})
    (first,) = statistics.to_document("two", 1, lambda _name: True)["model_stats"]
    assert first["inference_count"] == 2
