"""The settings of a deployment, with the real Terraform."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from onnxlet_cli.deploy.gcp.settings import OPTIONS, declared
from onnxlet_cli.deploy.gcp.terraform_errors import TerraformError
from onnxlet_cli.errors import DeploymentError
from onnxlet_publishing.errors import UsageError
from tests.helpers.fake_gcs import Blob, FakeGcs
from tests.helpers.gcp_deployment import GCP
from tests.helpers.google_tokens import FEDERATED, KEY, impersonated, serving_google
from tests.helpers.terraform_checkout import (
    ALL,
    BUCKET,
    EXCLUDED,
    EXISTING,
    STATE,
    VALUES,
    checkout,
    cloud_storage,
    deploy,
    gcp,
    plan,
    settings,
    wanted,
)
from tests.infra.provider import serving

pytestmark = pytest.mark.skipif(shutil.which("terraform") is None, reason="terraform is not on this machine")


@pytest.fixture
def gcs(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGcs]:
    with cloud_storage(monkeypatch) as fake:
        yield fake


@pytest.fixture
def root(tmp_path: Path, gcs: FakeGcs) -> Path:  # noqa: ARG001 - which it is deployed to
    return checkout(tmp_path / "first")


def test_every_variable_is_tried_and_every_one_is_kept_in_the_state() -> None:
    names = declared(GCP) - set(OPTIONS)
    assert set(ALL) == names
    text = (GCP / "outputs.tf").read_text().partition('output "settings"')[2]
    assert set(re.findall(r"(\w+) += var\.(\w+)", text)) == {(name, name) for name in names}


def test_what_is_not_named_stays_as_it_is_from_another_checkout(root: Path, gcs: FakeGcs, tmp_path: Path) -> None:
    deploy(gcp(root, others=ALL))
    before = settings(gcs)
    assert before["access"] == "keys"
    assert before["http_inputs"] == ["photos/", "${scans}/"]
    assert before["labels"] == {"team": "a", "owner": "ada"}
    second = checkout(tmp_path / "second")
    assert plan(gcp(second)) == []
    deploy(gcp(second))
    assert settings(gcs) == before
    assert plan(gcp(root)) == []


@pytest.mark.parametrize("values", [VALUES, {name: ALL[name] for name in ALL if name not in EXCLUDED}])
def test_all_of_infra_gcp_stays_as_it_is_where_nothing_is_named(
    gcs: FakeGcs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, values: dict[str, str]
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        shutil.copytree(GCP, folder / "infra/gcp", ignore=shutil.ignore_patterns(".*"))
        (folder / "package.zip").write_bytes(b"the functions")
    with serving(EXISTING) as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        deploy(gcp(first, others=values))
        assert settings(gcs)["access"] == "keys"
        assert plan(gcp(first)) == []
        assert plan(gcp(second)) == []
        changed = plan(gcp(second, others={"allow_unauthenticated": "false"}))
        assert [(change.action, change.resource) for change in changed] == [
            ("remove", "google_cloud_run_v2_service_iam_member.everybody[0]")
        ]


def test_a_setting_goes_back_to_its_default_only_where_it_is_named(root: Path, gcs: FakeGcs) -> None:
    deploy(gcp(root, others={"access": "keys", "variant": "int8", "refresh_s": "2"}))
    deploy(gcp(root, others={"access": "", "refresh_s": ""}))
    assert (settings(gcs)["access"], settings(gcs)["refresh_s"]) == ("open", 60)
    assert settings(gcs)["variant"] == "int8"


def test_who_may_call_is_closed_again_where_that_is_named(root: Path, gcs: FakeGcs) -> None:
    for auth, is_open in (("none", True), (None, True), ("iam", False), (None, False)):
        deploy(gcp(root, auth=auth))
        assert settings(gcs)["allow_unauthenticated"] is is_open


def test_a_name_that_is_no_variable_is_refused(root: Path, gcs: FakeGcs) -> None:
    for value in ("keys", ""):
        with pytest.raises(UsageError, match="--set acess: expected a variable of infra/gcp"):
            deploy(gcp(root, others={"acess": value}))
    assert gcs.buckets == {}


@pytest.mark.parametrize(("name", "option"), [("project", "--project"), ("region", "--region"), ("name", "--stack")])
def test_the_place_is_named_by_its_own_option(root: Path, name: str, option: str) -> None:
    with pytest.raises(UsageError, match=f"--set {name}: expected {option}"):
        gcp(root, others={name: "other"})


def test_an_older_checkout_does_not_drop_settings_that_it_does_not_know(root: Path, gcs: FakeGcs) -> None:
    deploy(gcp(root))
    state = json.loads(gcs.buckets[BUCKET][STATE].data)
    state["outputs"]["settings"]["value"]["deny"] = ["1.2.3.4"]
    state["outputs"]["settings"]["type"][1]["deny"] = ["list", "string"]
    gcs.buckets[BUCKET][STATE] = Blob(json.dumps(state).encode(), 100)
    with pytest.raises(DeploymentError, match=r"^deny: .*which is older: update it, or drop them with --set deny="):
        plan(gcp(root))
    deploy(gcp(root, others={"deny": ""}))
    assert "deny" not in settings(gcs)


def test_what_another_deployment_sets_at_the_same_time_stays(root: Path, gcs: FakeGcs, tmp_path: Path) -> None:
    deploy(gcp(root))
    late, lines = gcp(root), list[str]()
    late.check()
    late.find()  # and reads the settings, before somebody else
    deploy(gcp(checkout(tmp_path / "second"), others={"access": "keys"}))
    late.apply(wanted(late), lines.append)
    assert settings(gcs)["access"] == "keys"
    assert lines[0] == "plan     the settings have changed meanwhile; they are read again"


def test_values_in_files_and_variables_of_the_shell_count_as_named(
    root: Path, gcs: FakeGcs, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "infra/gcp/terraform.tfvars").write_text('access = "keys"\n')
    monkeypatch.setenv("TF_VAR_variant", "int8")
    deploy(gcp(root))
    assert (settings(gcs)["access"], settings(gcs)["variant"]) == ("keys", "int8")
    monkeypatch.setenv("TF_VAR_variant", "pruned")
    (root / "infra/gcp/terraform.tfvars").unlink()
    deploy(gcp(root))
    assert (settings(gcs)["access"], settings(gcs)["variant"]) == ("keys", "pruned")


def test_a_state_without_settings_is_not_taken_for_the_defaults(root: Path, gcs: FakeGcs, tmp_path: Path) -> None:
    deploy(gcp(checkout(tmp_path / "former", has_settings=False), others={"access": "keys"}))
    with pytest.raises(DeploymentError, match=r"made by an earlier onnxlet.* --set access= .* --set public_keys="):
        plan(gcp(root))
    deploy(gcp(root, others=ALL))
    assert settings(gcs)["access"] == "keys"
    assert plan(gcp(root)) == []


def test_a_first_deployment_that_failed_half_way_goes_on_with_its_settings(root: Path, gcs: FakeGcs) -> None:
    ready = root / "ready"
    late = f"""
resource "terraform_data" "late" {{
  depends_on = [terraform_data.everything]
  provisioner "local-exec" {{ command = "test -e {ready}" }}
}}
"""
    with (root / "infra/gcp/main.tf").open("a") as file:
        file.write(late)
    with pytest.raises(TerraformError, match="local-exec provisioner error"):
        deploy(gcp(root, others=VALUES))
    ready.touch()
    deploy(gcp(root))
    assert settings(gcs)["access"] == "keys"
    assert plan(gcp(root, others=VALUES)) == []


@pytest.mark.parametrize("kind", ["CI", "CI as an account", "a key elsewhere"])
def test_terraform_is_whoever_the_command_is(
    kind: str, root: Path, gcs: FakeGcs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store takes one token only: Terraform must come to the same one as we do, by itself."""
    monkeypatch.delenv("GOOGLE_OAUTH_ACCESS_TOKEN")
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    for name in ("CREDENTIALS", "IMPERSONATE_SERVICE_ACCOUNT", "STORAGE_CUSTOM_ENDPOINT"):  # of the state alone
        monkeypatch.setenv(f"GOOGLE_BACKEND_{name}", "somebody-else")
    path = tmp_path / "application_default_credentials.json"
    with serving_google(tmp_path) as google:
        if kind == "a key elsewhere":  # where Terraform would not look
            gcs.token = KEY
            path.write_text(json.dumps(google.service_account()))
        else:
            is_impersonating = kind == "CI as an account"
            gcs.token = impersonated(FEDERATED) if is_impersonating else FEDERATED
            path.write_text(json.dumps(google.external(is_impersonating=is_impersonating)))
        deploy(gcp(root))
        assert settings(gcs)["access"] == "open"
    assert set(gcs.tokens) == {gcs.token}
