from pathlib import Path

import pytest

from onnxlet import prefetch, session
from onnxlet.config import Settings, StorageSettings
from onnxlet.errors import ModelNotFoundError
from onnxlet.model import load
from onnxlet.prefetch import Prefetch
from onnxlet.registry import Registry
from onnxlet.service import Service
from onnxlet.store import open_store
from tests import graphs
from tests.fake_gcs import FakeGcs
from training.publish import publish


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
