import math
from pathlib import Path

import pytest

from onnxlet.contract import json_tensors
from onnxlet.contract.golden import Golden
from onnxlet.contract.manifest import Manifest
from onnxlet.registry.registry import Registry
from onnxlet.storage import open_store
from onnxlet_cli.deploy import object_comparison
from onnxlet_publishing.publish import publish
from tests.helpers import graphs


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(open_store((tmp_path / "registry").as_uri(), create=True))


def published(registry: Registry) -> tuple[Manifest, Golden]:
    manifest = publish(registry, graphs.candidate("sums", graphs.sums()))
    golden = registry.golden(manifest)
    assert golden is not None
    return manifest, golden


def test_the_golden_values_differ_by_nothing_and_others_by_their_distance(registry: Registry) -> None:
    manifest, golden = published(registry)
    ((name, tensor),) = golden.outputs.items()
    values = json_tensors.to_nested(tensor)
    rows = values if isinstance(values, list) else [values]
    assert object_comparison.difference(registry, manifest, golden, rows) == 0
    assert name == manifest.outputs[0].name


def test_an_infinity_is_compared_as_json_carries_it() -> None:
    assert object_comparison._without_infinity([1.0, [math.inf, -math.inf]]) == [1.0, [None, None]]
