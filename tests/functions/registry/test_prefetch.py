from pathlib import Path

import pytest

from onnxlet import session
from onnxlet.contract import expectation
from onnxlet.contract.layout import blob_key
from onnxlet.contract.manifest import Manifest
from onnxlet.errors import ModelNotFoundError
from onnxlet.models.loading import load
from onnxlet.registry import prefetch
from onnxlet.registry.prefetch import Prefetch
from onnxlet.registry.registry import Registry
from onnxlet.service import Service
from onnxlet.settings import Settings
from onnxlet.storage import open_store
from onnxlet.storage.connection import StorageSettings
from onnxlet_publishing.publish import publish
from tests.functions.models.test_model import images
from tests.helpers import graphs
from tests.helpers.fake_gcs import FakeGcs

HERE = session.runtime()


def settings(url: str, **changes: object) -> Settings:
    return Settings(url, model="digits", platform="lambda", **changes)  # type: ignore[arg-type]


def begun(changed: Settings) -> Prefetch:
    found = prefetch.begin(changed)
    assert found is not None
    return found


def test_the_default_model_is_read_once_by_whoever_asks_first() -> None:
    fake = FakeGcs("models")
    with fake.serving() as endpoint:
        storage = StorageSettings(gcs_endpoint=endpoint)
        manifest = publish(Registry(open_store("gs://models", storage)), graphs.digits_candidate())
        fake.read_keys.clear()
        registry = begun(settings("gs://models", storage=storage)).registry()
        assert registry is not None
        assert registry.resolve("digits") == manifest
        load(registry, manifest, threads=1)
        wanted = manifest.best(runtime=session.runtime())
        assert len(fake.read_keys) == 1 + len(wanted)
        registry.resolve("digits")
        assert len(fake.read_keys) == 2 + len(wanted), "the next one sees the alias as it is then"


def told(manifest: Manifest) -> str:
    return expectation.to_text(manifest, None, session.runtime().version)


def test_what_was_expected_is_read_once() -> None:
    fake = FakeGcs("models")
    with fake.serving() as endpoint:
        storage = StorageSettings(gcs_endpoint=endpoint)
        manifest = publish(Registry(open_store("gs://models", storage)), graphs.digits_candidate())
        fake.read_keys.clear()
        registry = begun(settings("gs://models", storage=storage, prefetch=told(manifest))).registry()
        assert registry is not None
        load(registry, registry.resolve("digits"), threads=1)
        assert sorted(fake.read_keys) == sorted(
            ["models/digits/aliases/live.json", *(blob_key(each.sha256) for each in manifest.best(runtime=HERE))]
        )


@pytest.mark.parametrize(
    "line",
    ["", "nonsense", "*=", "*=abc:1", f"*={'0' * 64}:10", f"*={'0' * 64}:-1", f"*={'0' * 64}:{10**12}", "=;=", "a=b=c"],
)
def test_whatever_was_expected_the_aliass_own_version_is_loaded(tmp_path: Path, line: str) -> None:
    publish(Registry(open_store(tmp_path.as_uri())), graphs.digits_candidate())
    changed = settings(tmp_path.as_uri(), prefetch=line)
    assert Service(changed, begun(changed)).find(None).model.manifest.version == 1


def test_an_expectation_of_an_older_version_costs_nothing_but_its_fetch(tmp_path: Path) -> None:
    registry = Registry(open_store(tmp_path.as_uri()))
    line = told(publish(registry, graphs.digits_candidate()))
    newer = publish(registry, graphs.digits_candidate(1))
    changed = settings(tmp_path.as_uri(), prefetch=line)
    found = Service(changed, begun(changed)).find(None).model
    assert found.manifest == newer
    expected = load(registry, newer, threads=1)
    assert found.run(found.to_inputs(images())) == expected.run(expected.to_inputs(images()))


def test_an_expectation_with_a_wrong_size_is_no_danger(tmp_path: Path) -> None:
    manifest = publish(Registry(open_store(tmp_path.as_uri())), graphs.digits_candidate())
    line = ",".join(f"{each.sha256}:{each.size_bytes + 1}" for each in manifest.best(runtime=HERE))
    changed = settings(tmp_path.as_uri(), prefetch=f"*={line}")
    assert Service(changed, begun(changed)).find(None).model.manifest.version == 1


@pytest.mark.parametrize(
    "changed",
    [Settings("memory://x"), Settings("memory://x", model="digits"), settings("file:///no/such/folder")],
    ids=["no model", "forking server", "no registry"],
)
def test_nothing_is_begun_where_it_could_not_be_used(changed: Settings) -> None:
    assert prefetch.begin(changed) is None


def test_a_model_that_is_not_there_is_said_by_who_asks_for_it(tmp_path: Path) -> None:
    found = begun(settings(tmp_path.as_uri()))
    assert found.registry() is None
    with pytest.raises(ModelNotFoundError, match='model "digits": not in the registry'):
        Service(settings(tmp_path.as_uri()), found).find(None)
