"""Deployments by the real Terraform, with its state in a Cloud Storage over real HTTP.

infra/gcp itself needs Google's provider, for which the one of tests/infra/provider.py stands. It takes its time; so in
most tests one resource of Terraform's own stands for all of Google's and keeps every variable of infra/gcp.
"""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from onnxlet_cli.deploy.cloud import Change, Options, Release
from onnxlet_cli.deploy.gcp.cloud import Gcp
from onnxlet_cli.deploy.gcp.settings import GIVEN, declared
from onnxlet_cli.deploy.gcp.terraform_errors import TerraformError
from onnxlet_cli.deploy.process import silent
from onnxlet_cli.errors import DeploymentError
from onnxlet_publishing.errors import AccountError, UsageError
from tests.helpers import keys
from tests.helpers.fake_gcs import Blob, FakeGcs
from tests.helpers.google_tokens import FEDERATED, KEY, impersonated, serving_google
from tests.infra.provider import serving
from tests.infra.terraform import ENVIRONMENT

GCP = Path(__file__).parents[4] / "infra/gcp"
BUCKET = "project-1-onnxlet-state"
STATE = "onnxlet/project-1-europe-west1-shop/default.tfstate"

pytestmark = pytest.mark.skipif(shutil.which("terraform") is None, reason="terraform is not on this machine")

VALUES: dict[str, str] = {
    "access": "keys",
    "alert_email": "ada@example.com",
    "alert_error_ratio": "0.25",
    "alert_oldest_message_s": "120",
    "alert_p95_ms": "250",
    "alert_p99_ms": "2500",
    "allow_unauthenticated": "true",
    "base_path": "/ml",
    "cors_origins": json.dumps(["https://app.example.com"]),
    "capture_inputs": "true",
    "capture_share": "0.125",
    "concurrency": "3",
    "cpu": "2",
    "delete_data": "true",
    "edge": "true",
    "explain_runs": "500",
    "generate_length": "64",
    "http_inputs": '["photos/","$${scans}/"]',
    "ingress": "ALLOW_INTERNAL_AND_GCLB",
    "input_days": "30",
    "input_prefix": "in box/",
    "invokers": '["user:ada@example.com"]',
    "kms_key": "projects/p/locations/r/keyRings/k/cryptoKeys/c",
    "labels": '{"team":"a","owner":"ada"}',
    "max_delivery_attempts": "7",
    "max_event_instances": "4",
    "max_instances": "5",
    "memory_mib": "2048",
    "min_instances": "1",
    "model": "digits",
    "notification_channels": '["projects/p/notificationChannels/1"]',
    "object_events": "pubsub",
    "public_keys": json.dumps([keys.text(1)]),
    "refresh_s": "5",
    "result_days": "60",
    "runtime": "python312",
    "timeout_s": "90",
    "training": "true",
    "variant": "int8",
    "vpc_connector": "projects/P/locations/R/connectors/C",
    "vpc_egress": "ALL_TRAFFIC",
}
"""Variables of infra/gcp with a value that is not the default."""
OTHERS: dict[str, str] = {
    "input_bucket": "our-photos",
    "registry_bucket": "our-models",
    "results_bucket": "our-answers",
    "vpc_network": "net",
    "vpc_subnetwork": "sub",
}
"""The other variables: what they exclude must be empty."""
EXISTING = {"data.google_storage_bucket": {"location": "EUROPE-WEST1", "uniform_bucket_level_access": True}}
EXCLUDED = ("input_days", "result_days", "vpc_connector")
ALL = VALUES | OTHERS

STAND_IN = """
resource "terraform_data" "everything" {{
  input = {{ {variables} }}
}}
output "http_url" {{ value = "http://127.0.0.1:9" }}
output "registry_url" {{ value = "gs://registry" }}
output "input_url" {{ value = "gs://inputs" }}
output "results_url" {{ value = "gs://results" }}
"""


def checkout(folder: Path, *, has_settings: bool = True) -> Path:
    """A checkout with infra/gcp's own variables and settings."""
    target = folder / "infra/gcp"
    target.mkdir(parents=True)
    shutil.copy(GCP / "variables.tf", target)
    names = declared(GCP) - {"source_zip"}
    text = STAND_IN.format(variables=", ".join(f"{name} = var.{name}" for name in sorted(names)))
    settings = re.search(r'^output "settings" \{.*?^\}\n', (GCP / "outputs.tf").read_text(), re.MULTILINE | re.DOTALL)
    assert settings is not None
    (folder / "package.zip").touch()
    (target / "main.tf").write_text(text + (settings[0] if has_settings else ""))
    return folder


@pytest.fixture
def gcs(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGcs]:
    """Google's Cloud Storage, and a token that it asks for."""
    fake = FakeGcs()
    fake.token = "a-token"
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("GOOGLE_OAUTH_ACCESS_TOKEN", "a-token")
    with fake.serving() as url:
        monkeypatch.setenv("GOOGLE_BASE_URL", url)
        yield fake


@pytest.fixture
def root(tmp_path: Path, gcs: FakeGcs) -> Path:  # noqa: ARG001 - which it is deployed to
    return checkout(tmp_path / "first")


def gcp(root: Path, **options: Any) -> Gcp:
    return Gcp(Options("shop", "europe-west1", "project-1", **options), root, pauses_s=(0,))


def wanted(cloud: Gcp) -> Release:
    return Release(cloud.root / "package.zip", "digits", None)


def deploy(cloud: Gcp) -> list[str]:
    """Deploy as the command does; gives the lines that it prints."""
    lines: list[str] = []
    cloud.check()
    cloud.find()
    cloud.apply(wanted(cloud), lines.append)
    return lines


def plan(cloud: Gcp) -> list[Change]:
    cloud.check()
    cloud.find()
    return cloud.plan(wanted(cloud), silent)


def settings(gcs: FakeGcs, key: str = STATE, bucket: str = BUCKET) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(gcs.buckets[bucket][key].data)["outputs"]["settings"]["value"]
    return found


def test_every_variable_is_tried_and_every_one_is_kept_in_the_state() -> None:
    names = declared(GCP) - set(GIVEN)
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


def former(root: Path, gcs: FakeGcs) -> Path:
    """What an earlier onnxlet left: a state in a workspace of this checkout, here with settings."""
    deploy(gcp(root, others={"access": "keys"}))
    path = root / "infra/gcp/terraform.tfstate.d/project-1-europe-west1-shop/terraform.tfstate"
    path.parent.mkdir(parents=True)
    path.write_bytes(gcs.buckets[BUCKET][STATE].data)
    del gcs.buckets[BUCKET]
    return path


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


def test_what_was_removed_begins_anew(root: Path, gcs: FakeGcs) -> None:
    deploy(gcp(root, others={"access": "keys"}))
    cloud = gcp(root)
    cloud.check_account()
    kept = cloud.remove(silent)
    assert [each.kind for each in kept] == ["Terraform's state:"]
    deploy(gcp(root))
    assert settings(gcs)["access"] == "open"


def test_a_token_that_is_not_valid_is_said_before_anything_is_done(
    root: Path, gcs: FakeGcs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_OAUTH_ACCESS_TOKEN", "expired")
    with pytest.raises(AccountError, match="401: Invalid Credentials; GOOGLE_OAUTH_ACCESS_TOKEN is not valid"):
        gcp(root).check()
    assert gcs.buckets == {}
    assert not (root / ".onnxlet").exists()


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
