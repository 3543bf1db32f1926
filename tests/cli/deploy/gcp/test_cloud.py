import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from onnxlet.errors import InvalidRequestError
from onnxlet_cli.deploy.cloud import Deployed, NotCalled, Options, Release
from onnxlet_cli.deploy.gcp.cloud import PAUSES_S, Gcp
from onnxlet_cli.deploy.gcp.settings import declared
from onnxlet_cli.deploy.gcp.terraform_errors import TerraformError, explain
from onnxlet_cli.deploy.process import Finished, silent
from onnxlet_cli.errors import DeploymentError, ToolError
from onnxlet_cli.http_client import Response
from onnxlet_cli.local.http import Handler, serving
from onnxlet_cli.package.target import Target
from onnxlet_publishing.errors import AccountError, MachineError, UsageError
from tests.helpers.cloud_tools import GCLOUD, TERRAFORM, put_tool
from tests.helpers.fake_gcs import Blob, FakeGcs
from tests.helpers.http_recorder import Recorder, recording

GCP = Path(__file__).parents[4] / "infra/gcp"


@pytest.fixture
def http() -> Iterator[Recorder]:
    with recording() as found:
        yield found


@pytest.fixture
def gcs(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGcs]:
    """A Cloud Storage, and what it asks for."""
    fake = FakeGcs()
    monkeypatch.setenv("GOOGLE_OAUTH_ACCESS_TOKEN", "a-token")
    with fake.serving() as url:
        monkeypatch.setenv("GOOGLE_BASE_URL", url)
        yield fake


@pytest.fixture
def root(tmp_path: Path, http: Recorder, gcs: FakeGcs, monkeypatch: pytest.MonkeyPatch) -> Path:  # noqa: ARG001
    """A checkout, with stand-ins for Terraform and gcloud, and a Cloud Storage."""
    put_tool(tmp_path / "bin", "terraform", TERRAFORM, monkeypatch)
    put_tool(tmp_path / "bin", "gcloud", GCLOUD)
    (tmp_path / "infra/gcp").mkdir(parents=True)
    shutil.copy(GCP / "variables.tf", tmp_path / "infra/gcp")
    (tmp_path / "registry").mkdir()
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist/onnxlet-gcp.zip").touch()
    monkeypatch.setenv("TERRAFORM_CALLS", str(tmp_path / "calls.txt"))
    monkeypatch.setenv("HTTP_URL", http.url)
    monkeypatch.setenv("REGISTRY_URL", (tmp_path / "registry").as_uri())
    return tmp_path


def gcp(root: Path, **options: str) -> Gcp:
    return Gcp(Options("shop", "europe-west1", "project-1", **options), root, pauses_s=(0, 0))  # type: ignore[arg-type]


def wanted(root: Path, prefetch: str | None = None) -> Release:
    return Release(root / "dist/onnxlet-gcp.zip", "digits", prefetch)


def deployed(cloud: Gcp) -> Deployed:
    cloud.check()
    cloud.find()
    return cloud.apply(wanted(cloud.root), silent)


def calls(root: Path) -> list[list[str]]:
    """What Terraform was asked."""
    return [json.loads(line) for line in (root / "calls.txt").read_text().splitlines()]


def last(root: Path, command: str) -> list[str]:
    """The last call of a command, with the earlier settings that it was given in a file as if they were named."""
    call = [call for call in calls(root) if call[0] == command][-1]
    (file,) = [each.partition("=")[2] for each in call if each.startswith("-var-file=")]
    return [*call, *(f"-var={name}={value}" for name, value in json.loads(Path(file).read_text()).items())]


def test_what_is_looked_at_is_said(root: Path) -> None:
    place = "in gs://project-1-onnxlet-state"
    assert (
        gcp(root).check()
        == f'"shop" in europe-west1, project project-1, by {root / "bin/terraform"}, with its state {place}'
    )
    assert calls(root) == [["init", "-reconfigure", "-input=false", "-no-color"]]


def test_only_what_init_has_fetched_outlives_a_copy_of_the_configuration(root: Path) -> None:
    source, copy = root / "infra/gcp", root / ".onnxlet/terraform/project-1-europe-west1-shop"
    (source / "versions.tf").write_text("# 1")
    (source / "old.tf").touch()
    gcp(root).check()
    for name in (".terraform.lock.hcl", "terraform.tfstate.backup"):
        (copy / name).touch()
    (copy / ".terraform").mkdir()
    (source / "old.tf").unlink()
    gcp(root).check()
    assert {path.name for path in copy.iterdir()} == {
        ".terraform",
        ".terraform.lock.hcl",
        "backend_override.tf.json",
        "variables.tf",
        "versions.tf",
    }
    (source / "versions.tf").write_text("# 2: other providers, which the lock would refuse")
    gcp(root).check()
    assert not (copy / ".terraform.lock.hcl").exists()
    assert (copy / ".terraform").is_dir()


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


def test_a_state_is_found_among_the_lines_of_a_log(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    applied = deployed(gcp(root))
    monkeypatch.setenv("TF_LOG", "JSON")
    again = gcp(root)
    again.check()
    assert again.find() == applied


def test_a_state_that_is_not_shown_does_not_pass_for_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deployed(gcp(root))
    monkeypatch.setenv("TERRAFORM_IS_SILENT", "1")
    again = gcp(root)
    again.check()
    with pytest.raises(ToolError, match="terraform show: expected JSON with format_version, got 'Warning: a line"):
        again.find()


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


def test_a_request_has_an_identity_token(root: Path, http: Recorder) -> None:
    cloud = gcp(root)
    reply = cloud.send(deployed(cloud).outputs, "/v2/health/live", None, {})
    assert isinstance(reply, Response)
    assert reply.status == 200
    assert http.requests[0][2]["authorization"] == "Bearer a-token"


def test_without_gcloud_nobody_is_asked(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cloud = gcp(root)
    outputs = deployed(cloud).outputs
    monkeypatch.setenv("PATH", str(root / "none"))
    found = cloud.send(outputs, "/v2/health/live", None, {})
    assert found == NotCalled("this machine has no identity token (gcloud is not there, or not logged in)")


def test_what_everybody_may_call_is_asked_without_a_token(
    root: Path, http: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud = gcp(root, auth="none")
    outputs = deployed(cloud).outputs
    monkeypatch.setenv("PATH", str(root / "none"))
    assert isinstance(cloud.send(outputs, "/v2/health/live", None, {}), Response)
    assert "authorization" not in http.requests[0][2]


@pytest.mark.parametrize(
    ("ingress", "status", "kind", "body", "is_kept_out"),
    [
        ("ALLOW_INTERNAL_AND_GCLB", 404, "text/html; charset=UTF-8", b"<title>Error: Page not found</title>", True),
        ("ALLOW_INTERNAL_ONLY", 403, "text/html; charset=UTF-8", b"<h2>Access is forbidden.</h2>", True),
        (
            "ALLOW_INTERNAL_ONLY",
            403,
            "text/html; charset=UTF-8",
            b"<h2>Your client may not</h2>",
            False,
        ),
        ("ALLOW_INTERNAL_ONLY", 404, "application/json", b"{}", False),
        ("ALLOW_ALL", 404, "text/html; charset=UTF-8", b"<title>Error: Page not found</title>", False),
    ],
)
def test_a_machine_that_the_ingress_setting_keeps_out_is_no_caller(
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    ingress: str,
    status: int,
    kind: str,
    body: bytes,
    is_kept_out: bool,
) -> None:
    class Refusing(Handler):
        def do_GET(self) -> None:
            self.reply(status, body, {"content-type": kind})

    with serving(Refusing) as url:
        monkeypatch.setenv("HTTP_URL", url)
        cloud = Gcp(Options("shop", "europe-west1", "project-1", others={"ingress": ingress}), root)
        found = cloud.send(deployed(cloud).outputs, "/v2/health/live", None, {})
    if is_kept_out:
        assert found == NotCalled(f"ingress {ingress} keeps requests from this machine out (status {status})")
    else:
        assert isinstance(found, Response)
        assert found.status == status


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


@pytest.mark.parametrize("step", ["init", "apply"])
def test_what_terraform_says_is_one_line(root: Path, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERRAFORM_FAILS", step)
    with pytest.raises(TerraformError) as error:
        deployed(gcp(root))
    assert str(error.value) == (
        f"terraform {step} failed: Error creating Bucket googleapi: Error 409: The requested bucket name is not "
        "available.; put that right, then try again"
    )


def test_what_a_condition_asks_for_is_told_and_not_where_it_stands() -> None:
    text = (
        '╷\n│ Error: Resource postcondition failed\n│\n│   on buckets.tf line 55, in data "google_storage_bucket":\n'
        "│   55:       condition     = self.uniform\n│     ├────────────────\n│     │ self.uniform is false\n│ \n"
        "│ registry_bucket: expected uniform bucket-level access.\n╵\n"
    )
    assert explain(Finished(1, text)) == (
        "Resource postcondition failed self.uniform is false registry_bucket: expected uniform bucket-level access."
    )


def test_a_failure_that_is_no_error_of_terraforms_is_told_by_its_last_line() -> None:
    assert explain(Finished(1, "Killed\n")) == "Killed"


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


def test_without_terraform_it_is_said_where_it_is_had(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(root / "none"))
    with pytest.raises(MachineError, match="terraform: not on this machine, nor tofu; install one of them from"):
        gcp(root).check()


def tools(root: Path, *names: str) -> None:
    """Let a machine have these commands, and no other."""
    (root / "bin/terraform").unlink(missing_ok=True)
    for name in names:
        put_tool(root / "bin", name, TERRAFORM)


def write_state(gcs: FakeGcs, registry: str, **more: str) -> None:
    """Put the state of a deployment into the bucket, whose providers are from a registry."""
    resource = {"type": "google_storage_bucket", "provider": f'provider["{registry}/hashicorp/google"]'}
    document = {"version": 4, "resources": [resource], **more}
    gcs.buckets["project-1-onnxlet-state"] = {
        "onnxlet/project-1-europe-west1-shop/default.tfstate": Blob(json.dumps(document).encode(), 1)
    }


@pytest.mark.parametrize(
    ("names", "taken"), [(("terraform", "tofu"), "terraform"), (("tofu",), "tofu"), (("terraform",), "terraform")]
)
def test_a_new_deployment_takes_terraform_and_else_opentofu(
    root: Path, names: tuple[str, ...], taken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(root / "bin"))
    tools(root, *names)
    assert f"by {root}/bin/{taken}, with" in gcp(root).check()
    assert deployed(gcp(root)).model == "digits"


@pytest.mark.parametrize(
    ("registry", "writer"), [("registry.opentofu.org", "tofu"), ("registry.terraform.io", "terraform")]
)
def test_a_state_is_read_by_what_has_written_it_alone(
    root: Path, gcs: FakeGcs, registry: str, writer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(root / "bin"))
    write_state(gcs, registry)
    tools(root, "terraform", "tofu")
    assert f"by {root}/bin/{writer}, with" in gcp(root).check()
    (root / "bin" / writer).unlink()
    with pytest.raises(MachineError, match=f"{writer}: not on this machine, and it wrote the state of this deployment"):
        gcp(root).check()


def test_a_state_that_opentofu_has_encrypted_is_opentofu_s(
    root: Path, gcs: FakeGcs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(root / "bin"))
    tools(root, "terraform", "tofu")
    write_state(gcs, "none", encrypted_data="abc")
    assert f"by {root}/bin/tofu, with" in gcp(root).check()


def test_a_state_on_this_machine_says_who_has_written_it(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(root / "bin"))
    tools(root, "terraform", "tofu")
    path = root / "infra/gcp/terraform.tfstate.d/project-1-europe-west1-shop/terraform.tfstate"
    path.parent.mkdir(parents=True)
    provider = 'provider["registry.opentofu.org/hashicorp/google"]'
    path.write_text(json.dumps({"resources": [{"type": "google_storage_bucket", "provider": provider}]}))
    assert f"by {root}/bin/tofu, with" in gcp(root).check()


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


EVENTARC = (
    "Error creating function: googleapi: Error 400: Validation failed for trigger projects/p/locations/r/triggers/t: "
    'Invalid resource state for "": Permission denied while using the Eventarc Service Agent. If you recently started '
    "to use Eventarc, it may take a few minutes before all necessary permissions are propagated to the Service Agent."
)
AGENT = (
    "Error applying IAM policy for KMS CryptoKey: googleapi: Error 400: Service account "
    "service-1@gcp-sa-artifactregistry.iam.gserviceaccount.com does not exist., badRequest"
)
NEW_ACCOUNT = (
    "Error applying IAM policy for storage bucket: googleapi: Error 400: Service account "
    "shop-messages@project-1.iam.gserviceaccount.com does not exist., invalid"
)
API = (
    "Error creating Topic: googleapi: Error 403: Cloud Pub/Sub API has not been used in project 1 before or it is "
    "disabled. If you enabled this API recently, wait a few minutes for the action to propagate and retry."
)
STALE = "Saved plan is stale"
SOMEBODY = (
    "Error applying IAM policy for cloudrunv2 service: googleapi: Error 400: Service account "
    "typo@project-1.iam.gserviceaccount.com does not exist., badRequest"
)
USER = "googleapi: Error 400: User nobody@example.com does not exist., badRequest"
QUOTA = "googleapi: Error 429: Quota exceeded for quota metric 'Builds'"


def fail(root: Path, *texts: str) -> None:
    """Let `apply` fail so often, each time with one or several errors between bars."""
    (root / "calls.txt.failures").write_text("\n".join(texts))


@pytest.mark.parametrize("text", [EVENTARC, AGENT, NEW_ACCOUNT, API, STALE, f"{EVENTARC}|{AGENT}"])
def test_what_google_is_not_ready_for_is_waited_for_and_applied_again(root: Path, text: str) -> None:
    fail(root, text, text)
    cloud, lines = gcp(root), list[str]()
    cloud.check()
    cloud.find()
    cloud.apply(wanted(root), lines.append)
    said = [line for line in lines if line.startswith("wait")]
    assert len(said) == 2
    assert text.partition("|")[0][:40] in said[0]
    assert said[0].endswith("that takes Google some minutes; applied again in 0 s")
    assert [call[0] for call in calls(root)].count("plan") == 3


@pytest.mark.parametrize("text", [SOMEBODY, USER, QUOTA, f"{EVENTARC}|{QUOTA}", f"{QUOTA}|{EVENTARC}"])
def test_any_other_error_is_told_at_once(root: Path, text: str) -> None:
    fail(root, text)
    with pytest.raises(TerraformError, match="googleapi: Error") as error:
        deployed(gcp(root))
    assert [call[0] for call in calls(root)].count("apply") == 1
    assert "put that right, then try again" in str(error.value)
    assert str(error.value).startswith(f"terraform apply failed: {QUOTA if QUOTA in text else text}")


def test_what_does_not_come_is_an_error_in_the_end(root: Path) -> None:
    fail(root, *[EVENTARC] * 5)
    with pytest.raises(TerraformError, match="Permission denied while using the Eventarc Service Agent"):
        deployed(gcp(root))
    assert [call[0] for call in calls(root)].count("apply") == 3


def test_it_is_waited_for_ten_minutes_at_most() -> None:
    assert sum(PAUSES_S) == 600


def test_settings_of_before_a_failure_are_sent_again(root: Path) -> None:
    deployed(Gcp(Options("shop", "europe-west1", "project-1", others={"access": "keys"}), root))
    fail(root, EVENTARC)
    deployed(gcp(root))
    assert "-var=access=keys" in last(root, "plan")


def test_the_deployment_asks_its_function_even_where_an_aws_of_ones_own_is_set(
    root: Path, http: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    cloud = gcp(root)
    assert cloud.send(deployed(cloud).outputs, "/v2/health/live", None, {}) is not None
    assert http.requests[0][1] == "/v2/health/live"
