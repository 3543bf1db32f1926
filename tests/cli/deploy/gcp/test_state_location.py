"""The place of Terraform's state, with the real Terraform."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from onnxlet_cli.deploy.cloud import Options
from onnxlet_cli.deploy.gcp.cloud import Gcp
from onnxlet_cli.deploy.process import silent
from onnxlet_cli.errors import DeploymentError
from tests.helpers.fake_gcs import FakeGcs
from tests.helpers.terraform_checkout import (
    BUCKET,
    STATE,
    checkout,
    cloud_storage,
    deploy,
    former,
    gcp,
    plan,
    settings,
    wanted,
)

pytestmark = pytest.mark.skipif(shutil.which("terraform") is None, reason="terraform is not on this machine")


@pytest.fixture
def gcs(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGcs]:
    with cloud_storage(monkeypatch) as fake:
        yield fake


@pytest.fixture
def root(tmp_path: Path, gcs: FakeGcs) -> Path:  # noqa: ARG001 - which it is deployed to
    return checkout(tmp_path / "first")


def test_two_deployments_of_a_checkout_share_nothing(root: Path, gcs: FakeGcs) -> None:
    other = Gcp(Options("other", "europe-west1", "project-1", others={"access": "keys"}), root)
    shop = gcp(root)
    for cloud in (shop, other):
        cloud.check()
        cloud.find()
    shop.apply(wanted(shop), silent)  # after the other one has begun, as where two terminals deploy at the same time
    other.apply(wanted(other), silent)
    assert settings(gcs)["access"] == "open"
    assert settings(gcs, STATE.replace("shop", "other"))["access"] == "keys"


@pytest.mark.parametrize("is_bucket_there", [True, False])
def test_a_state_on_this_machine_moves_to_the_bucket(root: Path, gcs: FakeGcs, is_bucket_there: bool) -> None:
    path = former(root, gcs)
    if is_bucket_there:
        gcs.buckets[BUCKET] = {}
    assert plan(gcp(root)) == []
    assert path.is_file()
    assert not gcs.buckets.get(BUCKET)
    lines = deploy(gcp(root))
    assert f"state    {path} is moved to gs://{BUCKET}" in lines
    assert not path.exists()
    assert settings(gcs)["access"] == "keys"
    assert plan(gcp(root)) == []


def test_a_state_on_this_machine_can_be_removed(root: Path, gcs: FakeGcs) -> None:
    former(root, gcs)
    cloud = gcp(root)
    cloud.check_account()
    cloud.remove(silent)
    assert json.loads(gcs.buckets[BUCKET][STATE].data)["resources"] == []


def test_a_stale_state_on_this_machine_is_not_taken(root: Path, gcs: FakeGcs) -> None:
    path = former(root, gcs)
    stale = path.read_bytes()
    deploy(gcp(root))
    deploy(gcp(root, others={"variant": "int8"}))
    path.write_bytes(stale)
    deploy(gcp(root))
    assert settings(gcs)["variant"] == "int8"


def test_of_two_states_none_is_taken_at_a_guess(root: Path, gcs: FakeGcs) -> None:
    path = former(root, gcs)
    state = json.loads(path.read_text())
    deploy(gcp(root))
    path.write_text(json.dumps({**state, "lineage": "another"}))
    with pytest.raises(DeploymentError, match="this deployment has two states"):
        gcp(root).check()
    path.write_text(json.dumps({**state, "serial": state["serial"] + 10}))
    with pytest.raises(DeploymentError, match="this deployment has two states"):
        gcp(root).check()


@pytest.mark.parametrize(("kind", "others"), [("registry", {}), ("source", {"registry_bucket": "models"})])
def test_a_deployment_whose_state_is_elsewhere_is_not_made_a_second_time(
    root: Path, gcs: FakeGcs, kind: str, others: dict[str, str]
) -> None:
    gcs.buckets[f"project-1-shop-{kind}"] = {}
    with pytest.raises(
        DeploymentError, match=f"gs://project-1-shop-{kind} is there, and no state .* with another --state"
    ):
        deploy(gcp(root, others=others))
    assert BUCKET not in gcs.buckets


def test_the_models_that_a_removed_deployment_has_left_are_taken_up_by_their_bucket(root: Path, gcs: FakeGcs) -> None:
    gcs.buckets["project-1-shop-registry"] = {}
    deploy(gcp(root, others={"registry_bucket": "project-1-shop-registry"}))
    assert settings(gcs)["registry_bucket"] == "project-1-shop-registry"


def test_what_was_removed_begins_anew(root: Path, gcs: FakeGcs) -> None:
    deploy(gcp(root, others={"access": "keys"}))
    cloud = gcp(root)
    cloud.check_account()
    kept = cloud.remove(silent)
    assert [each.kind for each in kept] == ["Terraform's state:"]
    deploy(gcp(root))
    assert settings(gcs)["access"] == "open"
