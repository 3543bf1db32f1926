import json
from pathlib import Path

import pytest

from onnxlet_cli.deploy.gcp.terraform_errors import TerraformError
from onnxlet_cli.errors import ToolError
from onnxlet_publishing.errors import MachineError
from tests.helpers.cloud_tools import TERRAFORM, put_tool
from tests.helpers.fake_gcs import Blob, FakeGcs
from tests.helpers.gcp_deployment import deployed, gcp


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


@pytest.mark.parametrize("step", ["init", "apply"])
def test_what_terraform_says_is_one_line(root: Path, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERRAFORM_FAILS", step)
    with pytest.raises(TerraformError) as error:
        deployed(gcp(root))
    assert str(error.value) == (
        f"terraform {step} failed: Error creating Bucket googleapi: Error 409: The requested bucket name is not "
        "available.; put that right, then try again"
    )


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
