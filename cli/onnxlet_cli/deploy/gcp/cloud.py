"""GCP as a cloud: the Terraform configuration in infra/gcp, applied with a state for each deployment."""

import os
import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import obstore
import obstore.exceptions

from onnxlet.registry.registry import Registry
from onnxlet.settings import storage_from_environment
from onnxlet.storage.failures import translate
from onnxlet_cli.assets import deployment_folder
from onnxlet_cli.cost.offers import Extras
from onnxlet_cli.deploy import cloud
from onnxlet_cli.deploy.cloud import Change, Deployed, NotCalled, Options, Outputs, Release, Retained
from onnxlet_cli.deploy.gcp import settings, terraform
from onnxlet_cli.deploy.gcp.caller import ALLOW_ALL, Caller
from onnxlet_cli.deploy.gcp.former_settings import EVERYBODY
from onnxlet_cli.deploy.gcp.settings import DeploymentSettings
from onnxlet_cli.deploy.gcp.state import State
from onnxlet_cli.deploy.gcp.state_bucket import StateBucket
from onnxlet_cli.deploy.gcp.state_location import StateLocation
from onnxlet_cli.deploy.gcp.terraform import LOCK_TIMEOUT, Terraform
from onnxlet_cli.deploy.gcp.terraform_errors import TerraformError
from onnxlet_cli.deploy.process import Report
from onnxlet_cli.errors import DeploymentError
from onnxlet_cli.http_client import Response
from onnxlet_cli.package.target import DEFAULT_PYTHON, Target, parse_target
from onnxlet_cli.registry import open_registry
from onnxlet_publishing.errors import MachineError, UsageError
from onnxlet_publishing.google_identity import Identity, require_identity

NOT_EMPTY = "force_destroy"
"""The argument that Google's provider names when it refuses to delete a bucket that holds objects."""

PAUSES_S = (30, 60, 60, 90, 120, 120, 120)
"""The pauses before Terraform is applied again, ten minutes in all.

Google gives "a few minutes" for the permissions of its service agents, and at most seven for changes of IAM.

Source: IAM, "Access change propagation"; terraform-provider-google #25294."""

MAX_PLANS = 4


class Gcp:
    """A deployment in one region of one project.

    Raises:
        UsageError: an option does not exist for GCP.
    """

    def __init__(self, options: Options, root: Path | None = None, pauses_s: Sequence[float] = PAUSES_S) -> None:
        settings.check_options(options)
        self.options = options
        self.root = root or deployment_folder()
        self.pauses_s = pauses_s
        self._state = State({}, {})
        self.settings = DeploymentSettings(options)

    @cached_property
    def project(self) -> str:
        """The project's id; a UsageError if no project is named."""
        project = self.options.project or os.environ.get("GOOGLE_CLOUD_PROJECT")
        if not project:
            raise UsageError("no GCP project: give --project ID (make deploy CLOUD=gcp PROJECT=ID)")
        return project

    @cached_property
    def region(self) -> str:
        """The region's name; a UsageError if no region is named."""
        region = self.options.region or os.environ.get("GOOGLE_CLOUD_REGION")
        if not region:
            raise UsageError("no GCP region: give --region, for instance europe-west1, or set GOOGLE_CLOUD_REGION")
        return region

    @cached_property
    def identity(self) -> Identity:
        """The identity that deploys, for Terraform and for the registry; an AccountError without credentials."""
        return require_identity()

    @cached_property
    def bucket(self) -> StateBucket:
        """The bucket of Terraform's state."""
        endpoint = storage_from_environment(os.environ).gcs_base_url or "https://storage.googleapis.com"
        deployment = f"{self.project}-{self.region}-{self.options.name}"
        return StateBucket(self.project, self.region, deployment, self.options.state, self.identity, endpoint)

    @cached_property
    def location(self) -> StateLocation:
        """The place of Terraform's state."""
        return StateLocation(self.bucket, terraform.former_state(self.root, self.bucket.deployment))

    @cached_property
    def terraform(self) -> Terraform:
        """The command of Terraform or OpenTofu: the one that wrote the state, if there is a state."""
        executable = terraform.find_terraform(self.location.writer)
        return Terraform(executable, self.root, self.bucket.deployment, terraform.identity_variables(self.identity))

    def check(self) -> str:
        """Check the account; it is all that a deployment needs on GCP."""
        return self.check_account()

    def check_account(self) -> str:
        """Check the account, find the state, and prepare Terraform for it; nothing is changed."""
        line = f'"{self.options.name}" in {self.region}, project {self.project}'
        source = self.root / terraform.FOLDER
        if not source.is_dir():
            raise MachineError(f"{source}: not there; run the command from a checkout of the repository")
        terraform.find_terraform()  # a missing command is the first error, before any request to Google
        self.location.find()
        self.location.begin(self.terraform)
        return f"{line}, by {self.terraform.executable}, with its state in gs://{self.bucket.name}"

    def find(self) -> Deployed | None:
        """Return what is deployed, and read the settings that stay as they are."""
        found = self._state = self.terraform.state()
        self._require_no_lost_state()
        self.settings.recall(found, settings.declared(self.terraform.source))
        if "http_url" not in found.outputs:
            return None
        outputs = _to_outputs(found.outputs)
        recorded, bucket = found.outputs.get(settings.OUTPUT), self.options.others.get("registry_bucket")
        if recorded and bucket not in (None, recorded.get("registry_bucket") or ""):
            cloud.require_registry(outputs, f"registry_bucket={bucket}", None)  # Terraform would delete its own bucket
        keys = ",".join(self.settings.remembered.get("public_keys") or ())
        return Deployed(outputs, self.settings.remembered.get("model"), variant=None, public_keys=keys)

    def target(self) -> Target:
        """Return the package's target: from the options, or else as it is deployed."""
        runtime = str(self.settings.chosen("runtime") or "")
        python = self.options.python or (f"3.{runtime.removeprefix('python3')}" if runtime else DEFAULT_PYTHON)
        return parse_target("gcp", self.options.arch, python)

    def memory_mib(self) -> int:
        """Return the memory of the HTTP function, as `Cloud.memory_mib`."""
        return int(self.options.memory_mib or self.settings.chosen("memory_mib") or 1024)

    def extras(self) -> Extras:
        """Return what is billed in addition, as `Cloud.extras`."""
        return Extras(min_instances=int(self.settings.chosen("min_instances") or 0))

    def plan(self, release: Release, report: Report) -> list[Change]:
        """Return what `apply` would change, as `Cloud.plan`."""
        try:
            return terraform.read_changes(self._plan(release, report))
        finally:
            self.terraform.drop_plan()

    def apply(self, release: Release, report: Report) -> Deployed:
        """Deploy, as `Cloud.apply`."""
        self.location.move_to_bucket(self.terraform, report)
        try:
            text = self._apply(release, report)
        finally:
            self.terraform.drop_plan()
        last = [line for line in text.splitlines() if line.startswith("Apply complete!")]
        report(f"deploy   {last[0] if last else 'applied'}")
        self._state = self.terraform.state()
        return Deployed(_to_outputs(self._state.outputs), release.model, variant=None)

    def open_registry(self, url: str) -> Registry:
        """Open a registry with the user's credentials."""
        return open_registry(url)

    def send(self, outputs: Outputs, path: str, body: bytes | None, headers: Mapping[str, str]) -> Response | NotCalled:
        """Send a request with an identity token of gcloud, unless anybody may call."""
        ingress = (self._state.outputs.get(settings.OUTPUT) or {}).get("ingress") or ALLOW_ALL
        caller = Caller(self.root, is_public=bool(self._state.all(EVERYBODY)), ingress=ingress)
        return caller.send(outputs.http_url.rstrip("/"), path, body, headers)

    def diagnostics(self, outputs: Outputs) -> list[str]:
        """Return the commands that show the dead letters and the function's log."""
        names: Any = outputs.others.get("functions") or {}
        name = names.get("gcp_objects") or names.get("gcp_message")
        if not name:
            return []
        dead_letters = outputs.others.get("dead_letter_subscription")
        return [
            f"gcloud pubsub subscriptions pull {dead_letters} --project {self.project}",
            f"gcloud functions logs read {name} --gen2 --region {self.region} --project {self.project}",
        ]

    def remove_objects(self, url: str) -> None:
        """Delete all objects of a folder; the bucket's own rules delete their earlier versions."""
        store = self.open_registry(url).store
        for key in list(store.keys("")):
            try:
                obstore.delete(store.backend, key)
            except (OSError, ValueError, obstore.exceptions.BaseError) as error:
                raise translate(error, f"{store.url}/{key}", is_write=True) from error

    def tidy(self, report: Report) -> None:
        """Do nothing: revisions of Cloud Run cost nothing while they get no requests."""

    def retained(self) -> list[Retained]:
        """Return the buckets that hold data."""
        return self._retained(self.terraform.state())

    def remove(self, report: Report) -> list[Retained]:
        """Remove everything but the buckets that hold objects."""
        if not self.terraform.state().resources:
            raise DeploymentError(f"nothing is deployed: gs://{self.bucket.name}/{self.bucket.prefix} holds no state")
        self.location.move_to_bucket(self.terraform, report)
        command = ("destroy", "-auto-approve", "-input=false", "-no-color", LOCK_TIMEOUT)
        variables = {**self._place(), "source_zip": self.terraform.take_source(None)}
        done = self.terraform.run(*command, *self.terraform.to_variables({}, variables), report=report)
        left = self.terraform.state()
        if not done.is_ok and not (NOT_EMPTY in done.text and left.is_removed):
            raise TerraformError(self.terraform.why("destroy", done), done)
        return self._retained(left)

    def describe(self, outputs: Outputs, model: str) -> list[tuple[str, list[str]]]:
        """Return how to use the deployment, as `Cloud.describe`."""
        place = f"--region {self.region} --project {self.project}"
        place += f" --state {self.options.state}" if self.options.state else ""
        curl = 'curl -H "authorization: Bearer $(gcloud auth print-identity-token)"'
        copy = f"gcloud storage cp photo.png {outputs.input_url.rstrip('/')}/"
        results = f"gcloud storage ls --recursive {outputs.results_url}"
        publish = f"onnxlet publish model.onnx --name {model} --registry {outputs.registry_url}"
        rollback = f"onnxlet rollback {model} --registry {outputs.registry_url}"
        return [
            ("Call it", [f"{curl} {outputs.http_url.rstrip('/')}/v2/models/{model}"]),
            ("Answer a file", [copy, results]),
            ("Another version, live without a redeploy; and back", [publish, rollback]),
            ("Remove it", [f"onnxlet destroy --cloud gcp --stack {self.options.name} {place}"]),
        ]

    def document(self) -> dict[str, Any]:
        """Return the place of the deployment, as `Cloud.document`."""
        return {"cloud": "gcp", "stack": self.options.name, "region": self.region, "project": self.project}

    def _require_no_lost_state(self) -> None:
        """Check that a deployment without a state is really new.

        Every deployment has a bucket of its own for the source, and a removed one may have left its registry. Buckets
        that the user names are used as they are.
        """
        if self._state.resources or self._state.outputs:
            return
        for kind in ("registry", "source"):
            bucket = f"{self.project}-{self.options.name}-{kind}"
            if bucket != self.options.others.get("registry_bucket") and bucket in self.bucket.buckets(bucket):
                raise DeploymentError(
                    f"gs://{bucket} is there, and no state of this deployment in gs://{self.bucket.name}: if it was "
                    "deployed with another --state, or in another --region, name that; if from another machine by an "
                    "earlier onnxlet, deploy once more from there, which moves the state; if only its models are left, "
                    f"use them with --set registry_bucket={bucket}; else take another --stack"
                )

    def _place(self) -> dict[str, str]:
        return {"project": self.project, "region": self.region, "name": self.options.name}

    def _variables(self, release: Release) -> list[str]:
        """Return the options that set all variables, as they are named now or deployed.

        `prefetch` is not among them: servers that fork their workers, as on Cloud Run, fetch nothing ahead
        (`onnxlet.registry.prefetch`), and setting it would build the functions once more.
        """
        named = {
            "model": release.model,
            "runtime": f"python{self.target().python.replace('.', '')}",
            **{name: value for name, value in self.settings.named().items() if value},
            **self._place(),
            "source_zip": self.terraform.take_source(release.package),
        }
        return self.terraform.to_variables(self.settings.remembered_for_terraform(), named)

    def _plan(self, release: Release, report: Report) -> dict[str, Any]:
        """Make a plan from the current settings, even if another user deploys meanwhile."""
        for _ in range(MAX_PLANS):
            planned = self.terraform.plan(self._variables(release), report)
            before = planned.get("output_changes", {}).get(settings.OUTPUT, {}).get("before")
            if before == self._state.outputs.get(settings.OUTPUT):
                return planned
            report("plan     the settings have changed meanwhile; they are read again")
            self.find()
        raise DeploymentError("others keep deploying to the same place: try again when they are done")

    def _apply(self, release: Release, report: Report) -> str:
        """Plan and apply, again while Google's permissions have not arrived; return Terraform's output."""
        pauses = iter(self.pauses_s)
        while True:
            try:
                self._plan(release, report)
                return self.terraform.apply_plan(report)
            except TerraformError as error:
                pause_s = next(pauses, None) if error.is_late else None
                if pause_s is None:
                    raise
                report(f"wait     {error.why}: that takes Google some minutes; applied again in {pause_s:.0f} s")
                time.sleep(pause_s)

    def _retained(self, left: State) -> list[Retained]:
        """Return what holds data: buckets that may have objects, and the folder of the state."""
        names = [str(bucket["name"]) for bucket in left.buckets() if not bucket.get("force_destroy")]
        remove, place = "gcloud storage rm --recursive", f"{self.bucket.name}/{self.bucket.prefix}"
        return [
            *(Retained("bucket, unless empty:", name, f"{remove} gs://{name}") for name in names),
            Retained("Terraform's state:", place, f"{remove} --all-versions gs://{place}"),
        ]


def _to_outputs(outputs: Mapping[str, Any]) -> Outputs:
    try:
        return Outputs.read(outputs, ("http_url", "registry_url", "input_url", "results_url"))
    except KeyError as error:
        raise DeploymentError(
            f"terraform gives no output {error}: the deployment is older than this checkout"
        ) from error
