from dataclasses import replace
from pathlib import Path

from onnxlet.contract import signature
from onnxlet.registry.registry import Registry
from onnxlet.storage import open_store
from onnxlet_publishing.candidate import Candidate
from onnxlet_publishing.publish import copy_version, publish
from tests.helpers import graphs, keys


def test_a_candidate_becomes_the_live_version_with_its_graphs(registry: Registry, candidate: Candidate) -> None:
    manifest = publish(registry, candidate)
    assert registry.resolve("classifier") == manifest
    assert {artifact.role for artifact in manifest.artifacts} == {
        "model",
        "preprocess",
        "postprocess",
        "golden",
        "example",
    }


def test_a_staged_candidate_is_not_live(registry: Registry, candidate: Candidate) -> None:
    publish(registry, candidate)
    publish(registry, replace(candidate, publication="another"), alias=None)
    assert registry.versions("classifier") == [1, 2]
    assert registry.resolve("classifier").version == 1


def test_a_publication_that_was_cut_off_is_finished_and_not_repeated(registry: Registry, candidate: Candidate) -> None:
    """After the manifest, before the alias: the same publisher comes back."""
    first = publish(registry, candidate, alias=None)
    assert publish(registry, candidate) == first
    assert registry.resolve("classifier") == first
    assert publish(registry, candidate) == first
    assert registry.versions("classifier") == [1]
    assert len(registry.alias("classifier").history) == 1


def test_a_copy_has_a_signature_of_its_own_or_none(tmp_path: Path) -> None:
    source, target = (Registry(open_store((tmp_path / name).as_uri(), create=True)) for name in ("a", "b"))
    manifest = publish(source, graphs.digits_candidate(), sign=keys.sign(tmp_path))
    publish(target, graphs.digits_candidate(1))
    assert copy_version(source, manifest, target).signature == {}
    signed = copy_version(source, manifest, target, sign=keys.sign(tmp_path))
    signature.require(target.resolve("digits"), [keys.public_key(1)])
    assert signed.version == 3
