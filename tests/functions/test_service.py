import pytest

from onnxlet.errors import InvalidNameError, InvalidRequestError, ModelNotFoundError, SettingsError
from onnxlet.service import MAX_BUCKETS, Service
from onnxlet.settings import Settings


def test_a_bucket_stays_connected_until_there_are_too_many() -> None:
    service = Service(Settings("memory://x"))
    first = service.bucket("s3://bucket-0")
    assert service.bucket("s3://bucket-0") is first
    for number in range(1, MAX_BUCKETS + 1):
        service.bucket(f"s3://bucket-{number}")
    assert service.bucket("s3://bucket-0") is not first


def test_a_part_of_a_bucket_is_refused() -> None:
    with pytest.raises(InvalidNameError, match="expected a bucket, got a path in a bucket"):
        Service(Settings("memory://x")).bucket("s3://bucket/folder")


def test_what_is_not_configured_is_named() -> None:
    service = Service(Settings("memory://x"))
    with pytest.raises(SettingsError, match="ONNXLET_RESULTS"):
        _ = service.results
    with pytest.raises(ModelNotFoundError, match="ONNXLET_MODEL sets no default"):
        service.find(None)


def test_an_alias_and_a_version_exclude_each_other() -> None:
    with pytest.raises(InvalidRequestError, match="expected an alias or a version, got both"):
        Service(Settings("memory://x")).find("digits@live", "1")
