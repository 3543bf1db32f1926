"""Vertex AI: a custom training job submitted by its REST API, and followed to its end.

Source: Vertex AI REST reference, `projects.locations.customJobs` (create, get); Compute Engine, "Access tokens" of the
metadata server.
"""

import json
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

from onnxlet.errors import CredentialsError, SettingsError, StoreError
from onnxlet_training.jobs.job import MAX_HOURS, Job, check_url, machine

MACHINES: dict[str | None, str] = {
    None: "n2-standard-8",
    "t4": "n1-standard-8",
    "l4": "g2-standard-8",
    "a100": "a2-highgpu-1g",
    "h100": "a3-highgpu-1g",
}
"""The smallest with one GPU of each kind; Google lends that of the H100 as a spot machine only."""
ACCELERATORS = {
    "t4": "NVIDIA_TESLA_T4",
    "l4": "NVIDIA_L4",
    "a100": "NVIDIA_TESLA_A100",
    "h100": "NVIDIA_H100_80GB",
}
SUCCEEDED, FAILED = "succeeded", ("failed", "cancelled", "expired", "partially_succeeded")
"""The states in which a job is over, without `JOB_STATE_`."""
SECONDS_PER_HOUR = 3600
LOOK_S = 15.0
TIMEOUT_S = 60.0
METADATA_TIMEOUT_S = 3.0
METADATA_URL = "http://metadata.google.internal"
MAX_MISSED = 5
"""So many times in a row the API may not answer while a job is followed."""


class _NoAnswerError(StoreError):
    """The API could not be reached, or failed itself: the next attempt may succeed."""


class Vertex:
    """The API for one project and region."""

    def __init__(
        self,
        project: str,
        region: str,
        endpoint: str | None = None,
        token: Callable[[], str] | None = None,
    ) -> None:
        """Take where jobs run; the endpoint and the access token are found where they are not given.

        Raises:
            SettingsError: no project or region.
        """
        if not project or not region:
            raise SettingsError("--project and --region: expected both for Vertex AI")
        self._parent = f"projects/{project}/locations/{region}"
        self._endpoint = (endpoint or f"https://{region}-aiplatform.googleapis.com").rstrip("/")
        self._find_token = token or access_token
        self._token: str | None = None

    def submit(self, job: Job, service_account: str = "") -> str:
        """Start a job, as a service account or else as Vertex AI's own; gives its full name.

        Raises:
            InvalidRequestError: a job that Vertex AI cannot run.
            CredentialsError: no credentials.
            StoreError: Vertex AI refuses the job; the text says why.
        """
        found = self._call("POST", f"{self._parent}/customJobs", to_request(job, job.name(), service_account))
        name: str = found["name"]
        return name

    def follow(self, name: str, report: Callable[[str], None], look_s: float = LOOK_S) -> None:
        """Report each new state of a job until it ends.

        Raises:
            CredentialsError: they ran out; the job goes on.
            StoreError: the job failed, or the API does not answer any more; the text says why.
        """
        last, missed = "", 0
        while True:
            try:
                found = self._call("GET", name)
            except _NoAnswerError:
                missed += 1
                if missed == MAX_MISSED:
                    raise
                time.sleep(look_s)
                continue
            missed = 0
            state = found.get("state", "").removeprefix("JOB_STATE_").lower()
            if state != last:
                report(state)
                last = state
            if state == SUCCEEDED:
                return
            if state in FAILED:
                raise StoreError(f"{name}: {state}: {found.get('error', {}).get('message', 'no reason is given')}")
            time.sleep(look_s)

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Call the API; a token that has run out, as each does within the hour, is replaced once."""
        is_fresh = self._token is None
        if self._token is None:
            self._token = self._find_token()
        try:
            return self._ask(method, path, body)
        except CredentialsError:
            self._token = None
            if is_fresh:
                raise
        return self._call(method, path, body)

    def _ask(self, method: str, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
        request = urllib.request.Request(  # noqa: S310 - the endpoint is https, or a test's
            f"{self._endpoint}/v1/{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"authorization": f"Bearer {self._token}", "content-type": "application/json"},
            method=method,
        )
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as reply:  # noqa: S310 - as above
                found: dict[str, Any] = json.load(reply)
                return found
        except urllib.error.HTTPError as error:
            kind = CredentialsError if error.code == 401 else _NoAnswerError if error.code >= 500 else StoreError
            raise kind(f"Vertex AI answers {error.code}: {_message(error.read())}") from error
        except (OSError, ValueError) as error:
            raise _NoAnswerError(f"Vertex AI cannot be reached: {error}") from error


def to_request(job: Job, name: str, service_account: str = "") -> dict[str, Any]:
    """The request for a job; without a service account it runs as Vertex AI's own, which may read all buckets.

    Raises:
        InvalidRequestError: a kind of GPU that we know no machine for, or data and results outside of Cloud Storage.
    """
    check_url("--output", job.output, "gs")
    if "data" in job.parameters:
        check_url("--data", job.parameters["data"], "gs")
    spec: dict[str, Any] = {"machineType": machine(MACHINES, job.gpu)}
    if job.gpu is not None:
        spec |= {"acceleratorType": ACCELERATORS[job.gpu], "acceleratorCount": 1}
    arguments = [f"--{option}={value}" for option, value in {"recipe": job.recipe, **job.parameters}.items()]
    variables = [{"name": variable, "value": value} for variable, value in job.environment.items()]
    container = {"imageUri": job.image, "args": arguments, "env": variables}
    pool = {"machineSpec": spec, "replicaCount": 1, "containerSpec": container}
    pools = [pool] if job.instances == 1 else [pool, {**pool, "replicaCount": job.instances - 1}]
    scheduling: dict[str, Any] = {"timeout": f"{MAX_HOURS * SECONDS_PER_HOUR}s", "restartJobOnWorkerRestart": True}
    if job.is_spot:
        scheduling["strategy"] = "SPOT"
    return {
        "displayName": name,
        "jobSpec": {
            "workerPoolSpecs": pools,
            "scheduling": scheduling,
            "baseOutputDirectory": {"outputUriPrefix": f"{job.output.rstrip('/')}/{name}"},
            **({"serviceAccount": service_account} if service_account else {}),
        },
    }


def access_token(metadata_url: str = METADATA_URL) -> str:
    """The token of the user's own login; on a machine of Google's without one, that of its service account.

    Raises:
        CredentialsError: there is neither.
    """
    try:
        done = subprocess.run(
            ["gcloud", "auth", "print-access-token"],  # noqa: S607 - wherever the user has it
            capture_output=True,
            text=True,
            check=True,
            timeout=TIMEOUT_S,
        )
    except (OSError, subprocess.SubprocessError):
        return _service_account_token(metadata_url)
    return done.stdout.strip()


def _service_account_token(metadata_url: str) -> str:
    request = urllib.request.Request(  # noqa: S310 - the metadata server is asked over http
        f"{metadata_url}/computeMetadata/v1/instance/service-accounts/default/token",
        headers={"metadata-flavor": "Google"},
    )
    try:
        with urllib.request.urlopen(request, timeout=METADATA_TIMEOUT_S) as reply:  # noqa: S310 - as above
            token: str = json.load(reply)["access_token"]
            return token
    except (OSError, ValueError, KeyError) as error:
        raise CredentialsError("Vertex AI: no Google Cloud credentials; run `gcloud auth login`") from error


def _message(body: bytes) -> str:
    try:
        return str(json.loads(body)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return body[:200].decode("utf-8", "replace")
