"""GCP: Terraform's configuration in infra/gcp, applied in a workspace for each deployment."""

import json
import os
import shutil
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import obstore
import obstore.exceptions

from cli.deploy import terraform
from cli.deploy.cloud import ROOT, Change, Deployed, Kept, Options, Outputs, Reply, Wanted
from cli.deploy.http import send
from cli.deploy.process import Report, run_tool
from cli.deploy.terraform import Terraform, to_variables
from cli.package.target import DEFAULT_PYTHON, Target, parse_target
from cli.registry import open_registry
from onnxlet.errors import CredentialsError, InvalidRequestError, SettingsError, StoreError
from onnxlet.registry import Registry
from onnxlet.store.translation import translate

AUTHS = {"iam": False, "none": True}
"""Who may call: whoever Google's own permissions let in, or anybody."""

FUNCTION = "google_cloudfunctions2_function.http"
EVERYBODY = "google_cloud_run_v2_service_iam_member.everybody"

BUCKET = "google_storage_bucket"
STAYS = (BUCKET, "google_project_service", "google_kms_crypto_key_iam_member")
"""What is left while a bucket is not empty: it, and what it was made with."""
NOT_EMPTY = "force_destroy"
"""What Google's provider names when it refuses to delete a bucket that holds objects."""

PLAN = "onnxlet.tfplan"
ACTIONS: dict[tuple[str, ...], str | None] = {
    ("no-op",): None,
    ("read",): None,
    ("create",): "add",
    ("update",): "modify",
    ("delete",): "remove",
}


class Gcp:
    """A deployment in one region of one project."""

    def __init__(self, options: Options, root: Path = ROOT) -> None:
        """Take what the user said, and the checkout; nothing is looked at yet.

        Raises:
            InvalidRequestError: an option that GCP does not have.
        """
        if options.auth is not None and options.auth not in AUTHS:
            raise InvalidRequestError(f"--auth {options.auth}: expected {' or '.join(AUTHS)} with --cloud gcp")
        self.options = options
        self.root = root
        self._resources: dict[str, dict[str, Any]] = {}

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
    def terraform(self) -> Terraform:
        """Terraform's command."""
        workspace = f"{self.project}-{self.region}-{self.options.name}"
        return Terraform(terraform.find_terraform(), self.root, workspace)

    def check(self) -> str:
        """As `Cloud.check`."""
        return self.check_account()

    def check_account(self) -> str:
        """As `Cloud.check_account`."""
        line = f'"{self.options.name}" in {self.region}, project {self.project}'
        command = self.terraform
        if not command.folder.is_dir():
            raise SettingsError(f"{command.folder}: not there; run the command from a checkout of the repository")
        _require_credentials(self.root)
        command.begin()
        return f"{line}, by {command.executable}"

    def find(self) -> Deployed | None:
        """As `Cloud.find`."""
        outputs = self.terraform.outputs()
        if "http_url" not in outputs:
            return None
        self._resources = {item["address"]: item for item in self.terraform.resources()}
        return Deployed(_to_outputs(outputs), self._environment().get("ONNXLET_MODEL"), variant=None)

    def target(self) -> Target:
        """As `Cloud.target`."""
        before = str(self._config("build_config").get("runtime") or "").removeprefix("python3")
        python = self.options.python or (f"3.{before}" if before else DEFAULT_PYTHON)
        return parse_target("gcp", self.options.arch, python)

    def memory_mib(self) -> int:
        """As `Cloud.memory_mib`."""
        return int(self.options.others.get("memory_mib") or self.options.memory_mib or self._memory() or 1024)

    def plan(self, wanted: Wanted, report: Report) -> list[Change]:
        """As `Cloud.plan`."""
        path = self.terraform.folder / PLAN
        try:
            command = ("plan", "-input=false", "-no-color", f"-out={PLAN}")
            self.terraform.require(*command, *self._variables(wanted), report=report)
            planned = json.loads(self.terraform.require("show", "-json", "-no-color", PLAN))
        finally:
            path.unlink(missing_ok=True)
        changes = planned.get("resource_changes", [])
        found = [Change(_action(item["change"]["actions"]), item["address"], item["type"]) for item in changes]
        return [change for change in found if change.action]

    def apply(self, wanted: Wanted, report: Report) -> Deployed:
        """As `Cloud.apply`."""
        command = ("apply", "-auto-approve", "-input=false", "-no-color")
        text = self.terraform.require(*command, *self._variables(wanted), report=report)
        last = [line for line in text.splitlines() if line.startswith("Apply complete!")]
        report(f"deploy   {last[0] if last else 'applied'}")
        return Deployed(_to_outputs(self.terraform.outputs()), wanted.model, variant=None)

    def open_registry(self, url: str) -> Registry:
        """As `Cloud.open_registry`."""
        return open_registry(url)

    def send(self, outputs: Outputs, path: str, body: bytes | None, headers: Mapping[str, str]) -> Reply | None:
        """As `Cloud.send`: with an identity token of gcloud's."""
        url = outputs.http_url.rstrip("/")
        token = self._token(url)
        return None if token is None else send(f"{url}{path}", body, {**headers, "authorization": f"Bearer {token}"})

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

    def kept(self) -> list[Kept]:
        """As `Cloud.kept`: what holds data."""
        return self._buckets()

    def remove(self, report: Report) -> list[Kept]:
        """As `Cloud.remove`: a bucket goes where it is empty."""
        if not self.terraform.resources():
            raise StoreError(f"nothing is deployed in the workspace {self.terraform.workspace}")
        command = ("destroy", "-auto-approve", "-input=false", "-no-color")
        with TemporaryDirectory() as folder:
            source = Path(folder) / "none.zip"  # which Terraform reads even now, and nobody uses
            source.touch()
            done = self.terraform.run(*command, *to_variables({**self._place(), "source_zip": source}), report=report)
        left = self.terraform.resources()
        is_kept = NOT_EMPTY in done.text and all(item["type"] in STAYS for item in left)
        if not done.is_ok and not is_kept:
            raise StoreError(f"terraform destroy failed: {terraform.explain(done)}; put that right, then try again")
        return self._buckets()

    def describe(self, outputs: Outputs, model: str) -> list[tuple[str, list[str]]]:
        """As `Cloud.describe`."""
        name, where = self.options.name, f"--region {self.region} --project {self.project}"
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

    def _place(self) -> dict[str, str]:
        return {"project": self.project, "region": self.region, "name": self.options.name}

    def _variables(self, wanted: Wanted) -> list[str]:
        """What was said now, or before.

        `prefetch` is none of it: where a server forks its workers, as on Cloud Run, nothing is fetched ahead
        (`onnxlet.prefetch`), and to set it would build the functions once more.
        """
        is_open = AUTHS[self.options.auth] if self.options.auth else EVERYBODY in _unindexed(self._resources)
        return to_variables(
            {
                **self._place(),
                "model": wanted.model,
                "source_zip": wanted.package.absolute(),
                "runtime": f"python{self.target().python.replace('.', '')}",
                "memory_mib": self.options.memory_mib or self._memory(),
                "allow_unauthenticated": is_open or None,
                **self.options.others,
            }
        )

    def _memory(self) -> int | None:
        """What is deployed has, in MiB."""
        text = str(self._config("service_config").get("available_memory") or "").removesuffix("Mi")
        return int(text) if text.isdigit() else None

    def _config(self, name: str) -> dict[str, Any]:
        """A block of the deployed HTTP function; empty where it is not deployed."""
        blocks = self._resources.get(FUNCTION, {}).get("values", {}).get(name) or [{}]
        return dict(blocks[0])

    def _environment(self) -> dict[str, str]:
        return self._config("service_config").get("environment_variables") or {}

    def _buckets(self) -> list[Kept]:
        found = [item["values"] for item in self.terraform.resources() if item["type"] == BUCKET]
        names = [str(values["name"]) for values in found if not values.get("force_destroy")]
        return [Kept("bucket, unless empty:", name, f"gcloud storage rm --recursive gs://{name}") for name in names]

    def _token(self, url: str) -> str | None:
        """An identity token: a user's, or a service account's for this address."""
        executable = shutil.which("gcloud")
        if executable is None:
            return None
        for more in ([], [f"--audiences={url}"]):
            done = run_tool([executable, "auth", "print-identity-token", "--quiet", *more], self.root)
            if done.is_ok:
                return done.text.strip().splitlines()[-1]
        return None


def _require_credentials(root: Path) -> None:
    """See that Terraform will find credentials, by Google's own rules.

    Raises:
        CredentialsError: it will not.
    """
    named = os.environ.get("GOOGLE_APPLICATION_CREDENTIALS")
    if named and not Path(named).is_file():
        raise CredentialsError(f"GOOGLE_APPLICATION_CREDENTIALS: {named}: no such file")
    folder = Path(os.environ.get("CLOUDSDK_CONFIG") or Path.home() / ".config/gcloud")
    if named or os.environ.get("GOOGLE_OAUTH_ACCESS_TOKEN"):
        return
    if (folder / "application_default_credentials.json").is_file():
        return
    gcloud = shutil.which("gcloud")  # which asks the metadata server, too, where this is a machine of Google's
    if gcloud is None or not run_tool([gcloud, "auth", "application-default", "print-access-token"], root).is_ok:
        raise CredentialsError("no Google credentials: run `gcloud auth application-default login`")


def _to_outputs(outputs: Mapping[str, Any]) -> Outputs:
    try:
        return Outputs(
            outputs["http_url"], outputs["registry_url"], outputs["input_url"], outputs["results_url"], dict(outputs)
        )
    except KeyError as error:
        raise StoreError(f"terraform gives no output {error}: what is deployed is older than this checkout") from error


def _unindexed(resources: Mapping[str, object]) -> set[str]:
    """The resources' addresses, without which of several each is."""
    return {address.partition("[")[0] for address in resources}


def _action(actions: list[str]) -> str:
    """What is done to a resource; empty where nothing is."""
    return ACTIONS.get(tuple(actions), "replace") or ""
