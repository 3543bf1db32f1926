"""The bucket of Terraform's state, with the real Terraform."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from onnxlet_cli.errors import DeploymentError
from onnxlet_publishing.errors import AccountError, UsageError
from tests.helpers.fake_gcs import Blob, FakeGcs
from tests.helpers.terraform_checkout import BUCKET, STATE, checkout, cloud_storage, deploy, gcp, plan, settings

pytestmark = pytest.mark.skipif(shutil.which("terraform") is None, reason="terraform is not on this machine")


@pytest.fixture
def gcs(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGcs]:
    with cloud_storage(monkeypatch) as fake:
        yield fake


@pytest.fixture
def root(tmp_path: Path, gcs: FakeGcs) -> Path:  # noqa: ARG001 - which it is deployed to
    return checkout(tmp_path / "first")


def test_the_bucket_of_the_state_is_private_keeps_versions_and_is_made_once(root: Path, gcs: FakeGcs) -> None:
    lines = deploy(gcp(root))
    assert [line for line in lines if line.startswith("state")] == [
        f"state    gs://{BUCKET} is made: it holds Terraform's states, so that any machine can deploy"
    ]
    made = gcs.properties[BUCKET]
    assert made["location"] == "europe-west1"
    assert made["versioning"] == {"enabled": True}
    assert made["iamConfiguration"] == {
        "uniformBucketLevelAccess": {"enabled": True},
        "publicAccessPrevention": "enforced",
    }
    assert not any(line.startswith("state") for line in deploy(gcp(root)))
    assert set(gcs.tokens) == {"a-token"}


def test_a_plan_makes_no_bucket(root: Path, gcs: FakeGcs) -> None:
    assert [change.action for change in plan(gcp(root))] == ["add"]
    assert gcs.buckets == {}


def test_the_state_may_be_in_a_bucket_of_ones_own(root: Path, gcs: FakeGcs) -> None:
    gcs.buckets["shared"] = {}
    gcs.foreign.add("shared")  # of another project, as the user knows
    deploy(gcp(root, state="gs://shared/of/ours", others={"access": "keys"}))
    assert settings(gcs, f"of/ours/{STATE}", "shared")["access"] == "keys"
    assert BUCKET not in gcs.buckets
    assert plan(gcp(root, state="gs://shared/of/ours/")) == []


def test_a_bucket_of_a_stranger_holds_no_state_of_ours(root: Path, gcs: FakeGcs) -> None:
    gcs.buckets[BUCKET] = {STATE: Blob(b'{"outputs": {"settings": {"value": {"access": "open"}}}}', 1)}
    gcs.foreign.add(BUCKET)
    with pytest.raises(
        DeploymentError, match=r"the name is taken by another project: name another bucket with --state"
    ):
        deploy(gcp(root))


def test_of_two_first_deployments_one_makes_the_bucket(root: Path, gcs: FakeGcs) -> None:
    cloud = gcp(root)
    cloud.check()
    gcs.foreign.add(BUCKET)  # it is not there when it is looked for, and there when it is made
    gcs.buckets[BUCKET] = {}
    with pytest.raises(DeploymentError, match="the name is taken by another project"):
        cloud.bucket.create()
    gcs.foreign.clear()
    assert cloud.bucket.create() is False
    del gcs.buckets[BUCKET]
    assert cloud.bucket.create() is True


@pytest.mark.parametrize("place", ["s3://bucket", "bucket", "file:///tmp"])
def test_a_state_elsewhere_is_refused(root: Path, place: str) -> None:
    with pytest.raises(UsageError, match="expected"):
        gcp(root, state=place).check()


def test_a_token_that_is_not_valid_is_said_before_anything_is_done(
    root: Path, gcs: FakeGcs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_OAUTH_ACCESS_TOKEN", "expired")
    with pytest.raises(AccountError, match="401: Invalid Credentials; GOOGLE_OAUTH_ACCESS_TOKEN is not valid"):
        gcp(root).check()
    assert gcs.buckets == {}
    assert not (root / ".onnxlet").exists()
