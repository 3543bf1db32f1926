import uuid

import pytest

from onnxlet.errors import CredentialsError
from onnxlet.registry.registry import Registry
from onnxlet.storage import open_store
from onnxlet.storage.connection import StorageSettings
from onnxlet_publishing.publish import publish
from onnxlet_publishing.write_access import check_may_keep, check_may_publish
from tests.conftest import BUCKET
from tests.crashes.front import Front
from tests.helpers import graphs
from tests.helpers.fake_gcs import FakeGcs


def test_who_may_create_and_not_replace_is_found_out_where_an_alias_would_be_moved() -> None:
    """On Google Cloud, where the condition of a write is looked at after the right to delete."""
    fake = FakeGcs("models")
    with fake.serving() as url:
        registry = Registry(open_store("gs://models/registry", StorageSettings(gcs_endpoint=url)))
        publish(registry, graphs.digits_candidate())
        live = fake.buckets["models"]["registry/models/digits/aliases/live.json"]
        check_may_publish(registry, "digits", "live")
        fake.is_create_only = True
        check_may_publish(registry, "digits", None)
        check_may_publish(registry, "mnist", "live")
        with pytest.raises(CredentialsError, match=r"aliases/live\.json"):
            check_may_publish(registry, "digits", "live")
    assert fake.buckets["models"]["registry/models/digits/aliases/live.json"] is live, "nothing was written"
    assert not any("mnist" in key for key in fake.buckets["models"])


def test_no_alias_is_written_to_try_a_store_that_keeps_no_conditions(s3_endpoint: str) -> None:
    front = Front(s3_endpoint)
    with front.serving() as url:
        store = open_store(f"s3://{BUCKET}/{uuid.uuid4()}", StorageSettings(url))
        check_may_publish(Registry(store, allows_unconditional_writes=True), "digits", "live")
    assert [line for line in front.requests if line.startswith("PUT") and "/blobs/" not in line] == []


def test_where_checkpoints_are_kept_is_written_to_once(s3_endpoint: str) -> None:
    store = open_store(f"s3://{BUCKET}/{uuid.uuid4()}", StorageSettings(s3_endpoint))
    check_may_keep(store)
    check_may_keep(store)  # a spot instance that was replaced
    assert len(list(store.keys(""))) == 1
