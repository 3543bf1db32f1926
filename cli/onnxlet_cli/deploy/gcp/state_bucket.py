"""The bucket of Terraform's states, made by the first deployment, so that any machine can deploy and remove.

Source: Cloud Storage JSON API, "Buckets: list, get, insert", "Objects: get"; Terraform, "Backend Type: gcs".
"""

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from onnxlet.storage import urls
from onnxlet_cli import http_client
from onnxlet_cli.errors import DeploymentError, ServiceError
from onnxlet_cli.http_client import Response
from onnxlet_publishing.errors import AccountError, CommandError, UsageError
from onnxlet_publishing.google_identity import LOGIN, Identity

SUFFIX = "onnxlet-state"
FOLDER = "onnxlet"
STATE = "default.tfstate"

KEPT_VERSIONS = 100
"""The earlier states that a bucket keeps: each change of a deployment writes several."""


@dataclass(frozen=True)
class StateBucket:
    """The project's bucket, or the one that the user names, and the state of one deployment in it."""

    project: str
    region: str
    deployment: str
    url: str | None
    """The place that the user names: `gs://bucket` or `gs://bucket/prefix`."""
    identity: Identity
    endpoint: str

    @property
    def name(self) -> str:
        """The bucket's name.

        Raises:
            UsageError: the user's URL is not a place in Cloud Storage.
        """
        return self._place()[0]

    @property
    def prefix(self) -> str:
        """The deployment's folder in the bucket."""
        return self._place()[1]

    def backend(self) -> dict[str, Any]:
        """Return the configuration of Terraform's backend."""
        return {"gcs": {"bucket": self.name, "prefix": self.prefix}}

    def exists(self) -> bool:
        """Return whether the bucket exists.

        A bucket that has the default name but belongs to another project must never hold the state: its owner could
        change what the state says. The default bucket is therefore looked up among the project's own.

        Raises:
            AccountError, ServiceError: Cloud Storage refuses the request.
        """
        if self.url is None:
            return self.name in self.buckets(self.name)
        return self._send(f"/storage/v1/b/{quote(self.name)}", none_for=(404,)) is not None

    def buckets(self, prefix: str) -> list[str]:
        """Return the names of the project's buckets that begin with `prefix`; raises as `exists`."""
        query = urlencode({"project": self.project, "prefix": prefix, "fields": "items(name)"})
        document = self._send(f"/storage/v1/b?{query}") or {}
        return [item["name"] for item in document.get("items", [])]

    def create(self) -> bool:
        """Make the bucket, with versions and without public access; return False if another process was faster.

        Raises:
            AccountError, DeploymentError, ServiceError: Cloud Storage refuses the request.
        """
        body = {
            "name": self.name,
            "location": self.region,
            "versioning": {"enabled": True},
            "iamConfiguration": {"uniformBucketLevelAccess": {"enabled": True}, "publicAccessPrevention": "enforced"},
            "lifecycle": {"rule": [{"action": {"type": "Delete"}, "condition": {"numNewerVersions": KEPT_VERSIONS}}]},
        }
        path = f"/storage/v1/b?{urlencode({'project': self.project})}"
        if self._send(path, json.dumps(body).encode(), none_for=(409,)) is not None:
            return True
        if not self.exists():
            raise DeploymentError(
                f"gs://{self.name}, the bucket of Terraform's state: the name is taken by another project: name "
                "another bucket with --state gs://..."
            )
        return False

    def read(self) -> dict[str, Any] | None:
        """Return the state as Terraform stored it, or None; raises as `exists`."""
        key = quote(f"{self.prefix}/{STATE}", safe="")
        return self._send(f"/storage/v1/b/{quote(self.name)}/o/{key}?alt=media", none_for=(404,))

    def _place(self) -> tuple[str, str]:
        if self.url is None:
            return f"{self.project}-{SUFFIX}", f"{FOLDER}/{self.deployment}"
        if not self.url.startswith("gs://"):
            raise UsageError(f"--state: expected gs://BUCKET or gs://BUCKET/PREFIX, got {self.url}")
        _, bucket, prefix = urls.split(urls.parse(self.url))
        return bucket, "/".join(filter(None, (prefix, FOLDER, self.deployment)))

    def _send(self, path: str, body: bytes | None = None, none_for: tuple[int, ...] = ()) -> dict[str, Any] | None:
        """Send a request to Cloud Storage; return None for the statuses in `none_for`.

        Raises:
            AccountError: Cloud Storage does not accept the credentials.
            DeploymentError, ServiceError: Cloud Storage cannot be reached, or refuses the request.
        """
        headers = {"authorization": f"Bearer {self.identity.token()}", "content-type": "application/json"}
        try:
            response = http_client.send(f"{self.endpoint}{path}", body, headers)
        except ServiceError as error:
            raise ServiceError(f"{self._what}: Cloud Storage cannot be reached: {error}", url=error.url) from error
        if response.status in none_for:
            return None
        if response.status >= 400:
            raise self._refused(response)
        document: dict[str, Any] = json.loads(response.body)
        return document

    @property
    def _what(self) -> str:
        return f"gs://{self.name}, the bucket of Terraform's state"

    def _refused(self, response: Response) -> CommandError:
        text = f"{self._what}: Cloud Storage answers {response.status}: {_message(response.body)}"
        if response.status == 401:
            return AccountError(f"{text}; {self.identity.source} is not valid, or has expired: {LOGIN}")
        if response.status == 403:
            return AccountError(
                f"{text}; {self.identity.source} needs Storage Admin on project {self.project}, or another --state"
            )
        return ServiceError(text, url=self.endpoint, status=response.status)


def _message(body: bytes) -> str:
    try:
        return str(json.loads(body)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return body[:200].decode("utf-8", "replace")
