from dataclasses import replace

import pytest

from onnxlet.errors import InvalidNameError
from onnxlet_publishing.candidate import Candidate


def test_the_main_graph_comes_before_its_companions_and_variants(candidate: Candidate) -> None:
    graphs = replace(candidate, variants={"int8": candidate.model.data}).graphs()
    forms = [(graph.role, graph.variant) for graph in graphs]
    assert forms == [("model", "fp32"), ("preprocess", "fp32"), ("postprocess", "fp32"), ("model", "int8")]


def test_a_version_names_exactly_its_blobs(candidate: Candidate) -> None:
    manifest, blobs = candidate.to_version()
    assert {artifact.sha256 for artifact in manifest.artifacts} == set(blobs)
    assert (manifest.model, manifest.version, manifest.provenance.source) == ("classifier", 0, candidate.source)


def test_an_impossible_name_is_no_version(candidate: Candidate) -> None:
    with pytest.raises(InvalidNameError):
        replace(candidate, name="../other").to_version()
