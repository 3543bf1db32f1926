"""The place of a deployment's state: the bucket, or the file on this machine in which an earlier onnxlet kept it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from onnxlet_cli.deploy.gcp import state
from onnxlet_cli.deploy.gcp.state_bucket import STATE, StateBucket
from onnxlet_cli.deploy.gcp.terraform import Terraform
from onnxlet_cli.deploy.process import Report
from onnxlet_cli.errors import DeploymentError


class StateLocation:
    """The two places that may hold a state, and the one that does."""

    def __init__(self, bucket: StateBucket, file: Path) -> None:
        self.bucket = bucket
        self.file = file
        self.writer: str | None = None
        """The command that wrote the state."""
        self._former: dict[str, Any] | None = None
        """The state in the file, if it is not in the bucket yet."""
        self._is_in_bucket = False

    def find(self) -> None:
        """Find the state, and change nothing.

        Raises:
            AccountError, ServiceError: Cloud Storage refuses a request.
            DeploymentError: both places hold a state, and neither is older than the other.
        """
        exists = self.bucket.exists()
        stored = self.bucket.read() if exists else None
        former = state.read_file(self.file)
        self._former = former if state.holds_anything(former) else None
        if self._former is not None and state.holds_anything(stored):
            self._require_older(self._former, stored or {})
            self._former = None
        self._is_in_bucket = exists and self._former is None
        self.writer = state.written_by(self._former or stored)

    def begin(self, terraform: Terraform) -> None:
        """Prepare Terraform for the state.

        Raises:
            TerraformError: the provider cannot be downloaded, or the backend refuses.
        """
        if self._is_in_bucket:
            terraform.begin(self.bucket.backend())
        else:
            terraform.begin({"local": {}}, self._former)

    def move_to_bucket(self, terraform: Terraform, report: Report) -> None:
        """Make the bucket and move the state into it, before anything is changed.

        Raises:
            AccountError, DeploymentError, ServiceError, TerraformError: the bucket cannot be made, or the move failed.
        """
        if self._is_in_bucket:
            return
        place = f"gs://{self.bucket.name}"
        if not self.bucket.exists() and self.bucket.create():
            report(f"state    {place} is made: it holds Terraform's states, so that any machine can deploy")
        terraform.begin(self.bucket.backend())
        if self._former is not None:
            terraform.require("state", "push", str(self.file))
            self.file.rename(self.file.with_name(f"{self.file.name}.moved"))
            report(f"state    {self.file} is moved to {place}")
        self._is_in_bucket, self._former = True, None

    def _require_older(self, former: Mapping[str, Any], stored: Mapping[str, Any]) -> None:
        """Check that the file's state is an earlier version of the bucket's."""
        if former.get("lineage") == stored.get("lineage") and former.get("serial", 0) <= stored.get("serial", 0):
            return
        place = f"gs://{self.bucket.name}/{self.bucket.prefix}/{STATE}"
        raise DeploymentError(
            f"this deployment has two states, {self.file} and {place}: keep the one that has what is deployed "
            "(`terraform show FILE`), and move the other away"
        )
