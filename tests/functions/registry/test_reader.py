from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from onnxlet.contract import layout
from onnxlet.contract.alias import PROMOTE, Alias, Move
from onnxlet.contract.artifact import JSON, Artifact
from onnxlet.contract.document import MAX_REPAIR_BYTES, MAX_STATE_BYTES, to_json
from onnxlet.errors import (
    ArtifactError,
    InvalidNameError,
    ManifestError,
    ModelNotFoundError,
    TooLargeError,
)
from onnxlet.record import replace
from onnxlet.registry.registry import Registry
from onnxlet.storage import open_store
from tests.helpers.graphs import digits_candidate
from tests.helpers.manifests import MANIFEST
from tests.helpers.ungated import publish


def test_another_connection_takes_the_place_of_the_first(tmp_path: Path) -> None:
    first, second = (open_store((tmp_path / name).as_uri(), create=True) for name in ("first", "second"))
    registry = Registry(first)
    artifact = publish(registry, digits_candidate()).artifacts[0]
    registry.reopen(second)
    assert registry.models() == []
    with pytest.raises(ArtifactError, match="no such object"):
        registry.artifacts.read(artifact)


def test_an_alias_that_was_read_before_is_for_the_first_who_asks(registry: Registry) -> None:
    first = publish(registry, digits_candidate())
    registry.promote("digits", 1, "stable")
    stored = registry.store.read(layout.alias_key("digits", "live"))
    second = publish(registry, digits_candidate(1))
    assert registry.expect("digits", stored) == first
    assert registry.alias("digits", "stable").name == "stable"
    assert registry.alias_state("digits")[1] == stored.revision
    assert registry.resolve("digits") == second
    with pytest.raises(ManifestError, match=r"models/other/aliases/live\.json: expected other@live, got digits@live"):
        registry.expect("other", stored)


def test_an_alias_is_read_again_only_when_it_has_moved(registry: Registry) -> None:
    publish(registry, digits_candidate())
    _, revision = registry.alias_state("digits")
    assert registry.alias_if_changed("digits", "live", revision) is None
    second = publish(registry, digits_candidate(1))
    changed = registry.alias_if_changed("digits", "live", revision)
    assert changed == registry.alias_state("digits")
    assert changed is not None
    assert changed[0].manifest == second
    with pytest.raises(ModelNotFoundError, match='model "digits": no alias "beta"; it has the versions 1, 2'):
        registry.alias_if_changed("digits", "beta", revision)
    for name, alias in (("../digits", "live"), ("digits", "2")):
        with pytest.raises(InvalidNameError):
            registry.alias_if_changed(name, alias, revision)


def test_the_golden_example_is_the_one_that_was_published(registry: Registry) -> None:
    manifest = publish(registry, digits_candidate())
    artifact = manifest.artifact("golden")
    golden = registry.golden(manifest)
    assert artifact is not None
    assert golden is not None
    assert golden.to_json() == bytes(registry.artifacts.read(artifact))
    assert registry.golden(replace(manifest, artifacts=manifest.artifacts[:1])) is None
    broken = Artifact.of("golden", "fp32", b"[]", JSON)
    registry.store.put_if_absent(layout.blob_key(broken.sha256), b"[]")
    with pytest.raises(ManifestError, match=f"blobs/sha256/{broken.sha256}: expected a JSON object"):
        registry.golden(replace(manifest, artifacts=(broken,)))


def test_lists_are_complete_and_in_order_and_pass_over_what_is_no_part_of_a_registry(registry: Registry) -> None:
    for name in ("zebra", "ant"):
        publish(registry, digits_candidate(name=name))
    for _ in range(10):
        registry.publish(replace(MANIFEST, model="ant"), {}, alias=None)
    registry.promote("ant", 3, "stable")
    for key in ("Ant/versions/1.json", "ant/versions/x.json", "ant/versions/0.json", "ant/aliases/notes.txt"):
        registry.store.put_if_absent(f"models/{key}", b"somebody's own")
    assert registry.models() == ["ant", "zebra"]
    assert registry.versions("ant") == list(range(1, 12))
    assert registry.catalogue() == {"ant": list(range(1, 12)), "zebra": [1]}
    assert list(registry.catalogue()) == ["ant", "zebra"]
    documents = len(list(registry.store.keys("models")))
    assert registry.catalogue(at_most=documents) == registry.catalogue()
    with pytest.raises(TooLargeError) as caught:
        registry.catalogue(at_most=documents - 1)
    listed = f"the {documents - 1} documents that an index lists"
    assert str(caught.value) == f"the registry has more than {listed}: request one model by name"
    assert [(alias.name, alias.manifest.version) for alias in registry.aliases("ant")] == [("live", 1), ("stable", 3)]


def test_what_is_missing_is_named_with_what_there_is(registry: Registry) -> None:
    publish(registry, digits_candidate())
    calls: list[tuple[Callable[[], object], str]] = [
        (lambda: registry.resolve("nope"), 'model "nope": not in the registry'),
        (lambda: registry.version("digits", 9), "no version 9; it has the versions 1"),
        (lambda: registry.resolve("digits", "beta"), 'no alias "beta"; it has the versions 1'),
        (lambda: registry.promote("digits", 9), "no version 9"),
        (lambda: registry.rollback("nope"), 'model "nope": not in the registry'),
        (lambda: registry.rollback("digits", "beta"), 'model "digits": no alias "beta"; it has the versions 1'),
    ]
    for call, words in calls:
        with pytest.raises(ModelNotFoundError, match=words):
            call()


@pytest.mark.parametrize("name", ["", "../digits", "a/b", "Digits", "a" * 64, "a\0b", "dígits"])
def test_an_impossible_name_never_reaches_the_store(registry: Registry, name: str) -> None:
    for call in (registry.resolve, registry.versions, registry.rollback):
        with pytest.raises(InvalidNameError):
            call(name)
    with pytest.raises(InvalidNameError):
        registry.publish(replace(MANIFEST, model=name), {"00": b""})
    assert list(registry.store.keys("")) == []


def test_a_document_that_is_none_is_refused_with_its_key(registry: Registry) -> None:
    publish(registry, digits_candidate())
    alias = layout.alias_key("digits", "live")
    revision = registry.alias_state("digits")[1]
    registry.store.put_if_absent(layout.version_key("digits", 2), b"[]")
    registry.store.replace(alias, b"[]", revision)
    calls: list[tuple[Callable[[], object], str]] = [
        (lambda: registry.version("digits", 2), layout.version_key("digits", 2)),
        (lambda: registry.resolve("digits"), alias),
        (lambda: registry.alias_if_changed("digits", "live", revision), alias),
    ]
    for call, key in calls:
        with pytest.raises(ManifestError, match=rf"^{key}: expected a JSON object, got \[\]"):
            call()


def test_a_manifest_under_another_key_is_refused(registry: Registry) -> None:
    manifest = publish(registry, digits_candidate())
    registry.store.put_if_absent(layout.version_key("digits", 2), manifest.to_json())
    with pytest.raises(ManifestError, match="expected digits version 2, got digits 1"):
        registry.version("digits", 2)


@pytest.mark.parametrize("damage", ["flip", "truncate", "remove"])
def test_bytes_that_are_not_the_published_ones_are_never_given_out(tmp_path: Path, damage: str) -> None:
    registry = Registry(open_store(tmp_path.as_uri()))
    artifact = publish(registry, digits_candidate()).artifacts[0]
    blob = tmp_path / layout.blob_key(artifact.sha256)
    data = blob.read_bytes()
    if damage == "flip":
        blob.write_bytes(data[:5000] + bytes([data[5000] ^ 1]) + data[5001:])
    elif damage == "truncate":
        blob.write_bytes(data[:-1])
    else:
        blob.unlink()
    with pytest.raises(ArtifactError, match="model artifact"):
        registry.artifacts.read(artifact)


def two_versions(registry: Registry) -> bytes:
    """Publish two versions; gives `live` as an onnxlet of before wrote it, with 30,000 moves between them."""
    for seed in range(2):
        publish(registry, digits_candidate(seed))
    manifests = [registry.version("digits", version) for version in (1, 2)]
    at = "2026-11-29T21:00:04.123+00:00"
    moves = [Move(PROMOTE, number % 2 + 1, at, f"{number:016x}") for number in range(30_000)]
    assert moves[-1].version == 2
    document = orjson.loads(Alias("live", manifests[1], tuple(moves)).to_json())
    for field in ("digest", "earlier", "dropped"):
        del document[field]
    return to_json({**document, "schema": 1})


@pytest.mark.large
def test_the_command_reads_a_larger_alias_than_functions_do_and_writes_a_small_one(tmp_path: Path) -> None:
    registry = Registry(open_store(tmp_path.as_uri()))
    data = two_versions(registry).ljust(MAX_STATE_BYTES + 1)
    path = tmp_path / layout.alias_key("digits", layout.LIVE)
    path.write_bytes(data)
    for read in (registry.resolve, registry.rollback, registry.alias):
        with pytest.raises(ManifestError, match=rf"live\.json: expected at most {MAX_STATE_BYTES} bytes"):
            read("digits")
    command = Registry(registry.store, largest_alias_bytes=MAX_REPAIR_BYTES)
    assert command.promote("digits", 1).version == 1
    assert registry.resolve("digits").version == 1
    path.write_bytes(data.ljust(MAX_REPAIR_BYTES + 1))
    with pytest.raises(ManifestError, match=f"expected at most {MAX_REPAIR_BYTES} bytes"):
        command.resolve("digits")
