"""GCP: Terraform's configuration in infra/gcp, applied with a state of its own for each deployment."""

import os
import shutil
import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import obstore
import obstore.exceptions

from onnxlet.errors import InvalidRequestError, SettingsError, StoreError
from onnxlet.registry.registry import Registry
from onnxlet.settings import storage_from_environment
from onnxlet.storage.failures import translate
from onnxlet_cli.assets import deployment_folder
from onnxlet_cli.cost.offers import Extras
from onnxlet_cli.deploy import settings, state, terraform
from onnxlet_cli.deploy.cloud import (
    Change,
    Deployed,
    Kept,
    Options,
    Outputs,
    Reply,
    Unasked,
    Wanted,
    check_named_once,
    require_registry,
)
from onnxlet_cli.deploy.http import send_to
from onnxlet_cli.deploy.process import Report, run_tool
from onnxlet_cli.deploy.settings import BUCKET, State
from onnxlet_cli.deploy.state import StateBucket
from onnxlet_cli.deploy.terraform import LOCK_TIMEOUT, Terraform, TerraformError
from onnxlet_cli.package.target import DEFAULT_PYTHON, Target, parse_target
from onnxlet_cli.registry import open_registry
from onnxlet_publishing.google_identity import Identity, require_identity

AUTHS = {"iam": False, "none": True}
"""Who may call: whoever Google's own permissions let in, or anybody."""

OPTIONS = {"project": "--project", "region": "--region", "name": "--stack", "source_zip": "nothing: it is made"}
"""Variables that say which deployment is meant, and the options that say so in place of `--set`."""

FIELDS = {"allow_unauthenticated": "auth", "memory_mib": "memory_mib", "runtime": "python"}
"""Variables that options of the command name as well."""

NOT_EMPTY = "force_destroy"
"""What Google's provider names when it refuses to delete a bucket that holds objects."""

ALLOW_ALL = "ALLOW_ALL"
"""The ingress setting with which requests come from anywhere."""

PAUSES_S = (30, 60, 60, 90, 120, 120, 120)
"""Ten minutes in all. Google says "a few minutes" of its service agents' rights, and seven of IAM's changes at most.

Source: IAM, "Access change propagation"; terraform-provider-google #25294."""

MAX_PLANS = 4

BACKENDS = tuple(
    f"GOOGLE_BACKEND_{name}"
    for name in ("CREDENTIALS", "IMPERSONATE_SERVICE_ACCOUNT", "OAUTH_ACCESS_TOKEN", "STORAGE_CUSTOM_ENDPOINT")
)
"""Variables by which the state alone would be read as somebody else, or elsewhere.

Source: Terraform, "Backend Type: gcs"."""

ACTIONS: dict[tuple[str, ...], str | None] = {
    ("no-op",): None,
    ("read",): None,
    ("create",): "add",
    ("update",): "modify",
    ("delete",): "remove",
}


class Gcp:
    """A deployment in one region of one project."""

    def __init__(self, options: Options, root: Path | None = None, pauses_s: Sequence[float] = PAUSES_S) -> None:
        """Take what the user said, and the checkout; nothing is looked at yet.

        Raises:
            InvalidRequestError: an option that GCP does not have.
        """
        if options.auth is not None and options.auth not in AUTHS:
            raise InvalidRequestError(f"--auth {options.auth}: expected {' or '.join(AUTHS)} with --cloud gcp")
        for name, option in OPTIONS.items():
            if name in options.others:
                raise InvalidRequestError(f"--set {name}: expected {option}")
        check_named_once(options, FIELDS)
        if options.tags:
            raise InvalidRequestError("--tag: AWS has tags; with --cloud gcp set the variable labels")
        self.options = options
        self.root = root or deployment_folder()
        self.pauses_s = pauses_s
        self._state = State({}, {})
        self._remembered: dict[str, Any] = {}
        self._former: dict[str, Any] | None = None
        self._is_in_bucket = False
        self._writer: str | None = None

    @cached_property
    def project(self) -> str:
        """The project's id.

        Raises:
            SettingsError: none is named.
        """
        found = self.options.project or os.environ.get("GOOGLE_CLOUD_PROJECT")
        if not found:
            raise SettingsError("no GCP project: give --project ID (make deploy CLOUD=gcp PROJECT=ID)")
        return found

    @cached_property
    def region(self) -> str:
        """The region's name.

        Raises:
            SettingsError: none is named.
        """
        found = self.options.region or os.environ.get("GOOGLE_CLOUD_REGION")
        if not found:
            raise SettingsError("no GCP region: give --region, for instance europe-west1, or set GOOGLE_CLOUD_REGION")
        return found

    @cached_property
    def identity(self) -> Identity:
        """Who deploys: the same for Terraform and for the registry.

        Raises:
            CredentialsError: there are no credentials.
        """
        return require_identity()

    @cached_property
    def bucket(self) -> StateBucket:
        """Where Terraform's state is."""
        endpoint = storage_from_environment(os.environ).gcs_base_url or "https://storage.googleapis.com"
        deployment = f"{self.project}-{self.region}-{self.options.name}"
        return StateBucket(self.project, self.region, deployment, self.options.state, self.identity, endpoint)

    @cached_property
    def terraform(self) -> Terraform:
        """Terraform's command, or OpenTofu's; of a state that is there, whichever has written it."""
        executable = terraform.find_terraform(self._writer)
        return Terraform(executable, self.root, self.bucket.deployment, self._variables_of_identity())

    def check(self) -> str:
        """As `Cloud.check`."""
        return self.check_account()

    def check_account(self) -> str:
        """As `Cloud.check_account`."""
        line = f'"{self.options.name}" in {self.region}, project {self.project}'
        source = self.root / terraform.FOLDER
        if not source.is_dir():
            raise SettingsError(f"{source}: not there; run the command from a checkout of the repository")
        terraform.find_terraform()  # before Google is asked for anything
        self._begin()
        return f"{line}, by {self.terraform.executable}, with its state in gs://{self.bucket.name}"

    def find(self) -> Deployed | None:
        """As `Cloud.find`; reads the settings, too, that stay as they are."""
        found = self._state = self.terraform.state()
        self._look_elsewhere()
        known = settings.declared(self.terraform.source)
        recorded = found.outputs.get(settings.OUTPUT) or {}
        for name in self.options.others:
            if name not in known and name not in recorded:
                raise InvalidRequestError(f"--set {name}: expected a variable of infra/gcp")
        self._remembered = settings.recall(found, self._named(), known)
        if "http_url" not in found.outputs:
            return None
        outputs = _to_outputs(found.outputs)
        bucket = self.options.others.get("registry_bucket")
        if recorded and bucket not in (None, recorded.get("registry_bucket") or ""):
            require_registry(outputs, f"registry_bucket={bucket}", None)  # Terraform would delete one that it has made
        keys = ",".join(self._remembered.get("public_keys") or ())
        return Deployed(outputs, self._remembered.get("model"), variant=None, public_keys=keys)

    def target(self) -> Target:
        """As `Cloud.target`."""
        before = str(self.options.others.get("runtime") or self._remembered.get("runtime") or "")
        python = self.options.python or (f"3.{before.removeprefix('python3')}" if before else DEFAULT_PYTHON)
        return parse_target("gcp", self.options.arch, python)

    def memory_mib(self) -> int:
        """As `Cloud.memory_mib`."""
        named = self.options.others.get("memory_mib") or self.options.memory_mib
        return int(named or self._remembered.get("memory_mib") or 1024)

    def extras(self) -> Extras:
        """As `Cloud.extras`."""
        named = self.options.others.get("min_instances")
        return Extras(min_instances=int(named or self._remembered.get("min_instances") or 0))

    def plan(self, wanted: Wanted, report: Report) -> list[Change]:
        """As `Cloud.plan`."""
        try:
            planned = self._plan(wanted, report)
        finally:
            self.terraform.drop_plan()
        changes = planned.get("resource_changes", [])
        found = [Change(_action(item["change"]["actions"]), item["address"], item["type"]) for item in changes]
        return [change for change in found if change.action]

    def apply(self, wanted: Wanted, report: Report) -> Deployed:
        """As `Cloud.apply`."""
        self._settle(report)
        try:
            text = self._apply(wanted, report)
        finally:
            self.terraform.drop_plan()
        last = [line for line in text.splitlines() if line.startswith("Apply complete!")]
        report(f"deploy   {last[0] if last else 'applied'}")
        self._state = self.terraform.state()
        return Deployed(_to_outputs(self._state.outputs), wanted.model, variant=None)

    def open_registry(self, url: str) -> Registry:
        """As `Cloud.open_registry`."""
        return open_registry(url)

    def send(self, outputs: Outputs, path: str, body: bytes | None, headers: Mapping[str, str]) -> Reply | Unasked:
        """As `Cloud.send`: with an identity token of gcloud's, unless everybody may call."""
        url = outputs.http_url.rstrip("/")
        if not self._state.all(settings.EVERYBODY):
            token = self._token(url)
            if token is None:
                return Unasked("this machine has no identity token (gcloud is not there, or not logged in)")
            headers = {**headers, "authorization": f"Bearer {token}"}
        reply = send_to(f"{url}{path}", body, headers)
        ingress = (self._state.outputs.get(settings.OUTPUT) or {}).get("ingress") or ALLOW_ALL
        if ingress != ALLOW_ALL and _is_kept_out(reply):
            return Unasked(f"ingress {ingress} keeps requests from this machine out (status {reply.status})")
        return reply

    def look(self, outputs: Outputs) -> list[str]:
        """As `Cloud.look`: the dead letters, and the function's log."""
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
        """As `Cloud.remove_objects`; what the bucket keeps of them goes by its own rules."""
        place = self.open_registry(url).store
        for key in list(place.keys("")):
            try:
                obstore.delete(place.backend, key)
            except (OSError, ValueError, obstore.exceptions.BaseError) as error:
                raise translate(error, f"{place.url}/{key}", is_write=True) from error

    def tidy(self, report: Report) -> None:
        """As `Cloud.tidy`: Cloud Run's revisions cost nothing while no request goes to them."""

    def kept(self) -> list[Kept]:
        """As `Cloud.kept`: what holds data."""
        return self._kept(self.terraform.state())

    def remove(self, report: Report) -> list[Kept]:
        """As `Cloud.remove`: a bucket goes where it is empty."""
        if not self.terraform.state().resources:
            raise StoreError(f"nothing is deployed: gs://{self.bucket.name}/{self.bucket.prefix} holds no state")
        self._settle(report)
        command = ("destroy", "-auto-approve", "-input=false", "-no-color", LOCK_TIMEOUT)
        named = {**self._place(), "source_zip": self.terraform.take_source(None)}
        done = self.terraform.run(*command, *self.terraform.to_variables({}, named), report=report)
        left = self.terraform.state()
        if not done.is_ok and not (NOT_EMPTY in done.text and left.is_removed):
            raise StoreError(self.terraform.why("destroy", done))
        return self._kept(left)

    def describe(self, outputs: Outputs, model: str) -> list[tuple[str, list[str]]]:
        """As `Cloud.describe`."""
        name, where = self.options.name, f"--region {self.region} --project {self.project}"
        where += f" --state {self.options.state}" if self.options.state else ""
        signed = 'curl -H "authorization: Bearer $(gcloud auth print-identity-token)"'
        return [
            ("Call it", [f"{signed} {outputs.http_url.rstrip('/')}/v2/models/{model}"]),
            (
                "Answer a file",
                [
                    f"gcloud storage cp photo.png {outputs.input_url.rstrip('/')}/",
                    f"gcloud storage ls --recursive {outputs.results_url}",
                ],
            ),
            (
                "Another version, live without a redeploy; and back",
                [
                    f"onnxlet publish model.onnx --name {model} --registry {outputs.registry_url}",
                    f"onnxlet rollback {model} --registry {outputs.registry_url}",
                ],
            ),
            ("Remove it", [f"onnxlet destroy --cloud gcp --stack {name} {where}"]),
        ]

    def document(self) -> dict[str, Any]:
        """As `Cloud.document`."""
        return {"cloud": "gcp", "stack": self.options.name, "region": self.region, "project": self.project}

    def _begin(self) -> None:
        """Find the state, and prepare Terraform for it; nothing is changed, and no bucket is made.

        Raises:
            StoreError: there are two states of this deployment, or Terraform cannot be prepared.
        """
        exists = self.bucket.exists()
        stored = self.bucket.read() if exists else None
        former = state.read_file(self._former_path)
        self._former = former if state.holds_anything(former) else None
        if self._former is not None and state.holds_anything(stored):
            self._refuse_newer(self._former, stored or {})
            self._former = None
        self._is_in_bucket = exists and self._former is None
        self._writer = state.written_by(self._former or stored)
        if self._is_in_bucket:
            self.terraform.begin(self.bucket.backend())
        else:
            self.terraform.begin({"local": {}}, self._former)

    @property
    def _former_path(self) -> Path:
        return terraform.former_state(self.root, self.bucket.deployment)

    def _refuse_newer(self, former: Mapping[str, Any], stored: Mapping[str, Any]) -> None:
        """See that this machine's own state is but what was moved to the bucket.

        Raises:
            StoreError: it tells of something else, or of more.
        """
        if former.get("lineage") == stored.get("lineage") and former.get("serial", 0) <= stored.get("serial", 0):
            return
        place = f"gs://{self.bucket.name}/{self.bucket.prefix}/{state.STATE}"
        raise StoreError(
            f"two states tell of this deployment: {self._former_path} and {place}; keep the one that tells "
            "of what is there (`terraform show FILE`), and move the other away"
        )

    def _settle(self, report: Report) -> None:
        """See that the state is in its bucket, before anything is changed.

        Raises:
            CredentialsError, StoreError: the bucket cannot be made, or the state not be moved.
        """
        if self._is_in_bucket:
            return
        place = f"gs://{self.bucket.name}"
        if not self.bucket.exists() and self.bucket.create():
            report(f"state    {place} is made: Terraform's states are there, for whoever deploys from another machine")
        self.terraform.begin(self.bucket.backend())
        if self._former is not None:
            path = self._former_path
            self.terraform.require("state", "push", str(path))
            path.rename(path.with_name(f"{path.name}.moved"))
            report(f"state    {path} is moved to {place}")
        self._is_in_bucket, self._former = True, None

    def _look_elsewhere(self) -> None:
        """See that a deployment of which there is no state is not there all the same.

        Every deployment has a bucket of its own for the source; a registry is left where one was removed. Buckets that
        the user names are used as they are.

        Raises:
            StoreError: a bucket of its is there.
        """
        if self._state.resources or self._state.outputs:
            return
        for kind in ("registry", "source"):
            bucket = f"{self.project}-{self.options.name}-{kind}"
            if bucket != self.options.others.get("registry_bucket") and bucket in self.bucket.buckets(bucket):
                raise StoreError(
                    f"gs://{bucket} is there, and no state of this deployment in gs://{self.bucket.name}: if it was "
                    "deployed with another --state, or in another --region, name that; if from another machine by an "
                    "earlier onnxlet, deploy once more from there, which moves the state; if only its models are left, "
                    f"use them with --set registry_bucket={bucket}; else take another --stack"
                )

    def _place(self) -> dict[str, str]:
        return {"project": self.project, "region": self.region, "name": self.options.name}

    def _named(self) -> dict[str, str]:
        """The settings that the user has named; empty ones go back to their default."""
        named = dict(self.options.others)
        if self.options.memory_mib is not None:
            named["memory_mib"] = str(self.options.memory_mib)
        if self.options.auth is not None:
            named["allow_unauthenticated"] = "true" if AUTHS[self.options.auth] else "false"
        return named

    def _variables(self, wanted: Wanted) -> list[str]:
        """What was said now, or before.

        `prefetch` is none of it: where a server forks its workers, as on Cloud Run, nothing is fetched ahead
        (`onnxlet.registry.prefetch`), and to set it would build the functions once more.
        """
        named = {
            "model": wanted.model,
            "runtime": f"python{self.target().python.replace('.', '')}",
            **{name: value for name, value in self._named().items() if value},
            **self._place(),
            "source_zip": self.terraform.take_source(wanted.package),
        }
        remembered = {name: value for name, value in self._remembered.items() if f"TF_VAR_{name}" not in os.environ}
        return self.terraform.to_variables(remembered, named)

    def _plan(self, wanted: Wanted, report: Report) -> dict[str, Any]:
        """Make a plan from the settings as they are at that moment, whoever else deploys.

        Raises:
            StoreError: Terraform refuses.
        """
        for _ in range(MAX_PLANS):
            planned = self.terraform.plan(self._variables(wanted), report)
            before = planned.get("output_changes", {}).get(settings.OUTPUT, {}).get("before")
            if before == self._state.outputs.get(settings.OUTPUT):
                return planned
            report("plan     the settings have changed meanwhile; they are read again")
            self.find()
        raise StoreError("others go on deploying to the same place: try again when they are done")

    def _apply(self, wanted: Wanted, report: Report) -> str:
        """Plan and apply, and again where Google's own rights have not arrived yet; gives what Terraform says.

        Raises:
            StoreError: it failed.
        """
        pauses = iter(self.pauses_s)
        while True:
            try:
                self._plan(wanted, report)
                return self.terraform.apply_plan(report)
            except TerraformError as error:
                pause_s = next(pauses, None) if error.is_late else None
                if pause_s is None:
                    raise
                report(f"wait     {error.why}: that takes Google some minutes; applied again in {pause_s:.0f} s")
                time.sleep(pause_s)

    def _variables_of_identity(self) -> dict[str, str | None]:
        """Return variables by which Terraform, for its state too, is who we are, and asks the same Cloud Storage."""
        base = storage_from_environment(os.environ).gcs_base_url
        endpoint = {"GOOGLE_STORAGE_CUSTOM_ENDPOINT": f"{base.rstrip('/')}/storage/v1/"} if base else {}
        return {**dict.fromkeys(BACKENDS), **endpoint, **self.identity.variables}

    def _kept(self, found: State) -> list[Kept]:
        """What holds data: buckets, unless they are empty, and the bucket of the states."""
        values = [item["values"] for item in found.resources.values() if item["type"] == BUCKET]
        names = [str(each["name"]) for each in values if not each.get("force_destroy")]
        kept = [Kept("bucket, unless empty:", name, f"gcloud storage rm --recursive gs://{name}") for name in names]
        place = f"{self.bucket.name}/{self.bucket.prefix}"
        return [*kept, Kept("Terraform's state:", place, f"gcloud storage rm --recursive --all-versions gs://{place}")]

    def _token(self, url: str) -> str | None:
        """An identity token: a user's, or a service account's for this address."""
        executable = shutil.which("gcloud")
        if executable is None:
            return None
        for more in ([], [f"--audiences={url}"]):
            done = run_tool([executable, "auth", "print-identity-token", "--quiet", *more], self.root)
            if done.is_ok:
                words = [line for line in done.text.splitlines() if line and " " not in line]  # warnings have spaces
                return words[-1] if words else None
        return None


def _to_outputs(outputs: Mapping[str, Any]) -> Outputs:
    try:
        return Outputs(
            outputs["http_url"], outputs["registry_url"], outputs["input_url"], outputs["results_url"], dict(outputs)
        )
    except KeyError as error:
        raise StoreError(f"terraform gives no output {error}: what is deployed is older than this checkout") from error


def _is_kept_out(reply: Reply) -> bool:
    """Return whether a reply may be Cloud Run's own for a request that the ingress setting does not let in.

    It is a page in HTML, of the status 404, in earlier years 403. The function's replies are JSON.

    Source: Cloud Run, "Restrict network ingress"; ahmetb/runsd #40.
    """
    is_of_function = reply.headers.get("content-type", "").startswith("application/json")
    return not is_of_function and (
        reply.status == 404 or (reply.status == 403 and b"Access is forbidden" in reply.body)
    )


def _action(actions: list[str]) -> str:
    """What is done to a resource; empty where nothing is."""
    return ACTIONS.get(tuple(actions), "replace") or ""
