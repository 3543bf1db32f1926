from pathlib import Path

import pytest

from onnxlet_cli.deploy.cloud import Options
from onnxlet_cli.deploy.gcp.cloud import PAUSES_S, Gcp
from onnxlet_cli.deploy.gcp.terraform_errors import TerraformError, explain
from onnxlet_cli.deploy.process import Finished
from tests.helpers.gcp_deployment import calls, deployed, gcp, last, wanted


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
