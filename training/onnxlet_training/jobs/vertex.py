"""Vertex AI: submit a custom training job through its REST API, and follow the job to its end.

Source: Vertex AI REST reference, `projects.locations.customJobs` (create, get); Compute Engine, "Access tokens" of the
metadata server.
"""

import json
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from onnxlet_publishing.errors import AccountError, UsageError
from onnxlet_training.errors import JobError
from onnxlet_training.jobs.job import MAX_HOURS, Job, check_url, machine

MACHINES: dict[str | None, str] = {
    None: "n2-standard-8",
    "t4": "n1-standard-8",
    "l4": "g2-standard-8",
    "a100": "a2-highgpu-1g",
    "h100": "a3-highgpu-1g",
}
"""The smallest machine type with one GPU of each kind; Google offers the H100's only as a spot machine."""
ACCELERATORS = {
    "t4": "NVIDIA_TESLA_T4",
    "l4": "NVIDIA_L4",
    "a100": "NVIDIA_TESLA_A100",
    "h100": "NVIDIA_H100_80GB",
}
SUCCEEDED, FAILED = "succeeded", ("failed", "cancelled", "expired", "partially_succeeded")
"""The final states of a job, without `JOB_STATE_`."""
SECONDS_PER_HOUR = 3600
LOOK_S = 15.0
TIMEOUT_S = 60.0
METADATA_TIMEOUT_S = 3.0
TEMPORARY = frozenset(HTTPStatus(status) for status in (500, 502, 503, 504))
"""The statuses after which the same request may succeed."""
METADATA_URL = "http://metadata.google.internal"
MAX_MISSED = 5
"""The number of successive requests without an answer after which a job is no longer followed."""


class Vertex:
    """The API for one project and region."""

    def __init__(
        self,
        project: str,
        region: str,
        endpoint: str | None = None,
        token: Callable[[], str] | None = None,
    ) -> None:
        if not project or not region:
            raise UsageError("--project and --region: expected both for Vertex AI")
        self._parent = f"projects/{project}/locations/{region}"
        self._endpoint = (endpoint or f"https://{region}-aiplatform.googleapis.com").rstrip("/")
        self._find_token = token or access_token
        self._token: str | None = None

    def submit(self, job: Job, service_account: str = "") -> str:
        """Start a job with a service account, or else with Vertex AI's own, and return the job's full name.

        Raises:
            UsageError: Vertex AI cannot run such a job.
            AccountError: there are no valid credentials.
            JobError: Vertex AI refuses the job.
        """
        started = self._call("POST", f"{self._parent}/customJobs", to_request(job, job.name(), service_account))
        name: str = started["name"]
        return name

    def follow(self, name: str, report: Callable[[str], None], look_s: float = LOOK_S) -> None:
        """Report each new state of a job until it ends.

        Raises:
            AccountError: the credentials expired; the job continues.
            JobError: the job failed, or the API no longer answers.
        """
        last, missed = "", 0
        while True:
            try:
                description = self._call("GET", name)
            except JobError as error:
                missed += 1
                if missed == MAX_MISSED or not error.is_retryable:
                    raise
                time.sleep(look_s)
                continue
            missed = 0
            state = description.get("state", "").removeprefix("JOB_STATE_").lower()
            if state != last:
                report(state)
                last = state
            if state == SUCCEEDED:
                return
            if state in FAILED:
                reason = description.get("error", {}).get("message", "no reason was given")
                raise JobError(f"{name}: {state}: {reason}")
            time.sleep(look_s)

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Call the API, and once more with a new token if the token has expired, as each does within an hour."""
        is_fresh = self._token is None
        if self._token is None:
            self._token = self._find_token()
        try:
            return self._send(method, path, body)
        except AccountError:
            self._token = None
            if is_fresh:
                raise
        return self._call(method, path, body)

    def _send(self, method: str, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
        request = urllib.request.Request(  # noqa: S310 - the endpoint is https, or a test's
            f"{self._endpoint}/v1/{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"authorization": f"Bearer {self._token}", "content-type": "application/json"},
            method=method,
        )
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as reply:  # noqa: S310 - as above
                answer: dict[str, Any] = json.load(reply)
                return answer
        except urllib.error.HTTPError as error:
            text = f"Vertex AI answers {error.code}: {_message(error.read())}"
            if error.code == HTTPStatus.UNAUTHORIZED:
                raise AccountError(text) from error
            raise JobError(text, is_retryable=error.code in TEMPORARY) from error
        except (OSError, ValueError) as error:
            raise JobError(f"Vertex AI cannot be reached: {error}", is_retryable=True) from error


def to_request(job: Job, name: str, service_account: str = "") -> dict[str, Any]:
    """Return the API's request for a job; Vertex AI's own service account, the default, may read all buckets.

    Raises:
        UsageError: no machine type is known for the GPU, or data or results are outside Cloud Storage.
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
    """Return the token of the user's login, or of the service account of a machine at Google.

    Raises:
        AccountError: there is neither a login nor a service account.
    """
    try:
        done = subprocess.run(
            ["gcloud", "auth", "print-access-token"],  # noqa: S607 - found on the user's PATH
            capture_output=True,
            text=True,
            check=True,
            timeout=TIMEOUT_S,
        )
    except (OSError, subprocess.SubprocessError):
        return _service_account_token(metadata_url)
    return done.stdout.strip()


def _service_account_token(metadata_url: str) -> str:
    request = urllib.request.Request(  # noqa: S310 - the metadata server speaks only http
        f"{metadata_url}/computeMetadata/v1/instance/service-accounts/default/token",
        headers={"metadata-flavor": "Google"},
    )
    try:
        with urllib.request.urlopen(request, timeout=METADATA_TIMEOUT_S) as reply:  # noqa: S310 - as above
            token: str = json.load(reply)["access_token"]
            return token
    except (OSError, ValueError, KeyError) as error:
        raise AccountError("Vertex AI: no Google Cloud credentials; run `gcloud auth login`") from error


def _message(body: bytes) -> str:
    try:
        return str(json.loads(body)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return body[:200].decode("utf-8", "replace")
