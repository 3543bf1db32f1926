from pathlib import Path
from typing import Any

import pytest

from onnxlet.errors import InvalidRequestError
from onnxlet_cli.deploy.cloud import Options
from onnxlet_cli.deploy.gcp.cloud import Gcp
from onnxlet_cli.deploy.gcp.settings import declared
from onnxlet_cli.deploy.process import silent
from onnxlet_cli.errors import DeploymentError
from onnxlet_cli.package.target import Target
from onnxlet_publishing.errors import AccountError, UsageError
from tests.helpers.gcp_deployment import GCP, calls, deployed, gcp, last, wanted
from tests.helpers.http_recorder import Recorder


def test_what_is_looked_at_is_said(root: Path) -> None:
    place = "in gs://project-1-onnxlet-state"
    assert (
        gcp(root).check()
        == f'"shop" in europe-west1, project project-1, by {root / "bin/terraform"}, with its state {place}'
    )
    assert calls(root) == [["init", "-reconfigure", "-input=false", "-no-color"]]


def test_nothing_is_found_where_nothing_is(root: Path) -> None:
    cloud = gcp(root)
    cloud.check()
    assert cloud.find() is None


def test_what_was_applied_is_found_with_its_model_and_places(root: Path, http: Recorder) -> None:
    applied = deployed(gcp(root))
    again = gcp(root)
    again.check()
    found = again.find()
    assert found == applied
    assert found is not None
    assert (found.model, found.outputs.http_url) == ("digits", http.url)
    assert found.outputs.input_url == "gs://shop-inputs/"


def test_the_variables_are_those_that_the_configuration_knows(root: Path) -> None:
    deployed(gcp(root))
    given = {each.removeprefix("-var=").partition("=")[0] for each in last(root, "plan") if each.startswith("-var=")}
    assert given == {"project", "region", "name", "model", "source_zip", "runtime"}
    assert given <= declared(GCP)


def test_the_same_again_changes_nothing_and_says_so(root: Path) -> None:
    lines: list[str] = []
    for _ in range(2):
        cloud = gcp(root)
        cloud.check()
        cloud.find()
        cloud.apply(wanted(root), lines.append)
    said = [line for line in lines if line.startswith("deploy")]
    assert said[0] == "deploy   Apply complete! Resources: 7 added, 0 changed, 0 destroyed."
    assert said[1] == "deploy   Apply complete! Resources: 0 added, 0 changed, 0 destroyed."


def test_what_is_not_said_stays_as_it_was(root: Path) -> None:
    deployed(Gcp(Options("shop", "europe-west1", "project-1", auth="none", memory_mib=2048, python="3.12"), root))
    again = gcp(root)
    deployed(again)
    assert again.target() == Target("gcp", "x86_64", "3.12")
    assert again.memory_mib() == 2048
    assert "-var=allow_unauthenticated=true" in last(root, "plan")
    assert "-var=memory_mib=2048" in last(root, "plan")


def test_any_variable_of_the_configuration_can_be_set(root: Path) -> None:
    deployed(Gcp(Options("shop", "europe-west1", "project-1", others={"alert_email": "a@b.c"}), root))
    assert "-var=alert_email=a@b.c" in last(root, "plan")


@pytest.mark.parametrize(("former", "named"), [("", "theirs"), ("ours", "theirs"), ("ours", "")])
def test_functions_that_run_keep_the_registry_that_has_their_models(root: Path, former: str, named: str) -> None:
    before = {"registry_bucket": former} if former else {}
    applied = deployed(gcp(root, others=before))  # type: ignore[arg-type]
    cloud = gcp(root, others={"registry_bucket": named})  # type: ignore[arg-type]
    cloud.check()
    with pytest.raises(UsageError, match=f"registry_bucket={named}: expected the registry of what"):
        cloud.find()
    same = gcp(root, others={"registry_bucket": former})  # type: ignore[arg-type]
    same.check()
    found = same.find()
    assert found is not None
    assert found.outputs == applied.outputs


@pytest.mark.parametrize(
    ("name", "option", "named"),
    [
        ("allow_unauthenticated", "--auth", {"auth": "iam"}),
        ("memory_mib", "--memory", {"memory_mib": 512}),
        ("runtime", "--python", {"python": "3.13"}),
    ],
)
def test_a_setting_is_named_once(root: Path, name: str, option: str, named: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"--set {name}: expected it or {option}, which .* got both"):
        Gcp(Options("shop", "europe-west1", "project-1", others={name: "true"}, **named), root)


def test_minimum_instances_are_billed(root: Path) -> None:
    assert gcp(root).extras().min_instances == 0
    asking = Gcp(Options("shop", "europe-west1", "project-1", others={"min_instances": "2"}), root)
    assert asking.extras().min_instances == 2
    deployed(asking)
    later = gcp(root)
    later.check()
    later.find()
    assert later.extras().min_instances == 2, "what is not named stays"


def test_a_plan_changes_nothing(root: Path) -> None:
    cloud = gcp(root)
    cloud.check()
    cloud.find()
    assert [change.action for change in cloud.plan(wanted(root), silent)] == ["add"]
    assert cloud.find() is None
    deployed(cloud)
    assert cloud.plan(wanted(root), silent) == []
    assert list(root.rglob("*plan")) == []


def test_a_bucket_that_holds_data_is_kept_and_named(root: Path) -> None:
    cloud = gcp(root)
    deployed(cloud)
    kept, state = cloud.remove(silent)
    assert state.name == "project-1-onnxlet-state/onnxlet/project-1-europe-west1-shop"
    assert (kept.name, kept.remedy) == ("shop-registry", "gcloud storage rm --recursive gs://shop-registry")


def test_what_is_not_deployed_cannot_be_removed(root: Path) -> None:
    cloud = gcp(root)
    cloud.check_account()
    with pytest.raises(
        DeploymentError, match="nothing is deployed: gs://project-1-onnxlet-state/onnxlet/project-1-europe"
    ):
        cloud.remove(silent)


@pytest.mark.parametrize(
    ("options", "variables", "text"),
    [
        (Options(region="europe-west1"), {}, "no GCP project: give --project ID"),
        (Options(project="p"), {}, "no GCP region: give --region"),
        (Options(), {"GOOGLE_CLOUD_PROJECT": "p"}, "no GCP region"),
    ],
)
def test_what_is_missing_is_asked_for(
    options: Options, variables: dict[str, str], text: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match=text):
        Gcp(options, root).check()


def test_without_credentials_it_is_said_how_to_get_them(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GOOGLE_OAUTH_ACCESS_TOKEN")
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(root))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    with pytest.raises(AccountError, match="run `gcloud auth application-default login`"):
        gcp(root).check()


def test_a_credentials_file_that_is_not_there_is_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GOOGLE_OAUTH_ACCESS_TOKEN")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere.json")
    with pytest.raises(AccountError, match=r"/nowhere.json: no such file"):
        gcp(root).check()


def test_options_of_the_other_cloud_are_refused(root: Path) -> None:
    with pytest.raises(UsageError, match="--auth api-key: expected iam or none with --cloud gcp"):
        gcp(root, auth="api-key")
    with pytest.raises((InvalidRequestError, UsageError), match="GCP's functions run on x86_64 only"):
        gcp(root, arch="arm64").target()
