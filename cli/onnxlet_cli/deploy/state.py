"""Where Terraform's state is: in a bucket, made by the first deployment, so that any machine can deploy and remove.

Source: Cloud Storage JSON API, "Buckets: list, get, insert", "Objects: get"; Terraform, "Backend Type: gcs".
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from onnxlet.errors import CredentialsError, InvalidNameError, StoreError
from onnxlet.storage import urls
from onnxlet_cli.deploy.cloud import Reply
from onnxlet_cli.deploy.http import send_to
from onnxlet_publishing.google_identity import LOGIN, Identity

SUFFIX = "onnxlet-state"
FOLDER = "onnxlet"
STATE = "default.tfstate"

REGISTRIES = {"tofu": "registry.opentofu.org/", "terraform": "registry.terraform.io/"}
"""Where each command has its providers from."""

KEPT_VERSIONS = 100
"""Earlier states that a bucket keeps: each change of a deployment writes some."""


@dataclass(frozen=True)
class StateBucket:
    """The bucket of a project, or the one that the user names, and the state of one deployment in it."""

    project: str
    region: str
    deployment: str
    url: str | None
    """What the user names: `gs://bucket` or `gs://bucket/prefix`."""
    identity: Identity
    endpoint: str

    @property
    def name(self) -> str:
        """The bucket's name.

        Raises:
            InvalidNameError: what the user names is no place in Cloud Storage.
        """
        return self._place()[0]

    @property
    def prefix(self) -> str:
        """The deployment's folder in it."""
        return self._place()[1]

    def backend(self) -> dict[str, Any]:
        """Return what Terraform is told."""
        return {"gcs": {"bucket": self.name, "prefix": self.prefix}}

    def exists(self) -> bool:
        """Whether the bucket is there.

        A bucket with the name that we would give, but of somebody else, must never hold our state: who owns it could
        open what the state says is closed. So that one is looked for among the project's own.

        Raises:
            CredentialsError, StoreError: Google does not say.
        """
        if self.url is None:
            return self.name in self.buckets(self.name)
        return self._ask(f"/storage/v1/b/{quote(self.name)}", missing=(404,)) is not None

    def buckets(self, prefix: str) -> list[str]:
        """Return the names of the project's buckets that begin with `prefix`; raises as `exists`."""
        query = urlencode({"project": self.project, "prefix": prefix, "fields": "items(name)"})
        found = self._ask(f"/storage/v1/b?{query}") or {}
        return [item["name"] for item in found.get("items", [])]

    def create(self) -> bool:
        """Make the bucket: private whatever anybody grants, and with earlier states; False where another was faster.

        Raises:
            CredentialsError, StoreError: Google refuses.
        """
        body = {
            "name": self.name,
            "location": self.region,
            "versioning": {"enabled": True},
            "iamConfiguration": {
                "uniformBucketLevelAccess": {"enabled": True},
                "publicAccessPrevention": "enforced",
            },
            "lifecycle": {
                "rule": [{"action": {"type": "Delete"}, "condition": {"numNewerVersions": KEPT_VERSIONS}}],
            },
        }
        path = f"/storage/v1/b?{urlencode({'project': self.project})}"
        if self._ask(path, json.dumps(body).encode(), missing=(409,)) is not None:
            return True
        if not self.exists():
            raise StoreError(
                f"gs://{self.name}, the bucket of Terraform's state: the name is taken by another project: name "
                "another bucket with --state gs://..."
            )
        return False

    def read(self) -> dict[str, Any] | None:
        """Return the state as Terraform has written it, or None; raises as `exists`."""
        key = quote(f"{self.prefix}/{STATE}", safe="")
        return self._ask(f"/storage/v1/b/{quote(self.name)}/o/{key}?alt=media", missing=(404,))

    def _place(self) -> tuple[str, str]:
        if self.url is None:
            return f"{self.project}-{SUFFIX}", f"{FOLDER}/{self.deployment}"
        scheme, bucket, prefix = urls.split(urls.parse(self.url))
        if scheme != "gs":
            raise InvalidNameError(f"--state {self.url}: expected gs://BUCKET or gs://BUCKET/PREFIX")
        return bucket, "/".join(filter(None, (prefix, FOLDER, self.deployment)))

    def _ask(self, path: str, body: bytes | None = None, missing: tuple[int, ...] = ()) -> dict[str, Any] | None:
        """Ask Cloud Storage; None where it answers one of `missing`.

        Raises:
            CredentialsError: it does not let us in.
            StoreError: it cannot be reached, or refuses.
        """
        headers = {"authorization": f"Bearer {self.identity.token()}", "content-type": "application/json"}
        what = f"gs://{self.name}, the bucket of Terraform's state"
        try:
            reply = send_to(f"{self.endpoint}{path}", body, headers)
        except OSError as error:
            raise StoreError(f"{what}: Cloud Storage cannot be reached: {error}") from error
        if reply.status in missing:
            return None
        if reply.status >= 400:
            raise self._refused(what, reply)
        found: dict[str, Any] = json.loads(reply.body)
        return found

    def _refused(self, what: str, reply: Reply) -> StoreError:
        text = f"{what}: Cloud Storage answers {reply.status}: {_message(reply.body)}"
        if reply.status == 401:
            return CredentialsError(f"{text}; {self.identity.source} is not valid, or no more: {LOGIN}")
        if reply.status == 409:
            return StoreError(
                f"{text}; the name is taken by another project: name another bucket with --state gs://..."
            )
        if reply.status == 403:
            return CredentialsError(
                f"{text}; {self.identity.source} needs Storage Admin on project {self.project}, or another --state"
            )
        return StoreError(text)


def read_file(path: Path) -> dict[str, Any] | None:
    """Return a state that is a file on this machine, or None where there is none.

    Raises:
        StoreError: it is no state.
    """
    try:
        found: dict[str, Any] = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise StoreError(f"{path}: expected a state of Terraform's: {error}") from error
    return found


def holds_anything(state: Mapping[str, Any] | None) -> bool:
    """Whether a state, as Terraform writes it, tells of anything that is deployed."""
    return state is not None and bool(state.get("resources") or state.get("outputs") or "encrypted_data" in state)


def written_by(state: Mapping[str, Any] | None) -> str | None:
    """Return the command that has written a state, by where its providers come from; None where that does not say.

    OpenTofu reads a state of Terraform's and makes it its own with the first change, after which Terraform wants
    OpenTofu's providers; a state that OpenTofu has encrypted it cannot read at all.

    Source: opentofu/opentofu #773, #1139; OpenTofu, "State and Plan Encryption".
    """
    if state is None:
        return None
    if "encrypted_data" in state:
        return "tofu"
    providers = {str(each.get("provider")) for each in state.get("resources") or []}
    for command, registry in REGISTRIES.items():
        if any(registry in provider for provider in providers):
            return command
    return None


def _message(body: bytes) -> str:
    try:
        return str(json.loads(body)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return body[:200].decode("utf-8", "replace")
