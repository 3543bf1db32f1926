"""Vertex AI: a custom training job submitted by its REST API, and followed to its end.

Source: Vertex AI REST reference, `projects.locations.customJobs` (create, get).
"""

import json
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

from onnxlet.errors import SettingsError, StoreError
from training.jobs.job import MAX_HOURS, Job, machine

MACHINES: dict[str | None, str] = {
    None: "c3-standard-8",
    "t4": "n1-standard-8",
    "l4": "g2-standard-8",
    "v100": "n1-standard-8",
    "a100": "a2-highgpu-1g",
    "h100": "a3-highgpu-1g",
}
ACCELERATORS = {
    "t4": "NVIDIA_TESLA_T4",
    "l4": "NVIDIA_L4",
    "v100": "NVIDIA_TESLA_V100",
    "a100": "NVIDIA_TESLA_A100",
    "h100": "NVIDIA_H100_80GB",
}
SECONDS_PER_HOUR = 3600
LOOK_S = 15.0
TIMEOUT_S = 60.0


class Vertex:
    """The API for one project and region."""

    def __init__(self, project: str, region: str, endpoint: str | None = None, token: str | None = None) -> None:
        """Take where jobs run; the endpoint and the token are found where they are not given.

        Raises:
            SettingsError: no project or region.
        """
        if not project or not region:
            raise SettingsError("--project and --region: expected both for Vertex AI")
        self._parent = f"projects/{project}/locations/{region}"
        self._endpoint = endpoint or f"https://{region}-aiplatform.googleapis.com"
        self._token = token

    def submit(self, job: Job) -> str:
        """Start a job; gives its full name.

        Raises:
            SettingsError: no credentials.
            StoreError: Vertex AI refuses the job; the text says why.
        """
        found = self._call("POST", f"{self._parent}/customJobs", to_request(job))
        name: str = found["name"]
        return name

    def follow(self, name: str, report: Callable[[str], None], look_s: float = LOOK_S) -> None:
        """Report each new state of a job until it ends.

        Raises:
            StoreError: it failed; the text says why.
        """
        last = ""
        while True:
            found = self._call("GET", name)
            state = found["state"].removeprefix("JOB_STATE_").lower()
            if state != last:
                report(state)
                last = state
            if state == "succeeded":
                return
            if state in {"failed", "cancelled", "expired"}:
                raise StoreError(f"{name}: {state}: {found.get('error', {}).get('message', 'no reason is given')}")
            time.sleep(look_s)

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        if self._token is None:
            self._token = _access_token()
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
            raise StoreError(f"Vertex AI answers {error.code}: {_message(error.read())}") from error
        except OSError as error:
            raise StoreError(f"Vertex AI cannot be reached: {error}") from error


def to_request(job: Job) -> dict[str, Any]:
    """The request for a job.

    Raises:
        InvalidRequestError: a kind of GPU that we know no machine for.
    """
    spec: dict[str, Any] = {"machineType": machine(MACHINES, job.gpu)}
    if job.gpu is not None:
        spec |= {"acceleratorType": ACCELERATORS[job.gpu], "acceleratorCount": 1}
    arguments = [f"--{name}={value}" for name, value in {"recipe": job.recipe, **job.parameters}.items()]
    container = {"imageUri": job.image, "args": arguments}
    pool = {"machineSpec": spec, "replicaCount": 1, "containerSpec": container}
    pools = [pool] if job.instances == 1 else [pool, {**pool, "replicaCount": job.instances - 1}]
    scheduling: dict[str, Any] = {"timeout": f"{MAX_HOURS * SECONDS_PER_HOUR}s", "restartJobOnWorkerRestart": True}
    if job.is_spot:
        scheduling["strategy"] = "SPOT"
    return {
        "displayName": job.name(),
        "jobSpec": {
            "workerPoolSpecs": pools,
            "scheduling": scheduling,
            "baseOutputDirectory": {"outputUriPrefix": job.output},
        },
    }


def _access_token() -> str:
    """The token of the user's own login.

    Raises:
        SettingsError: there is none.
    """
    try:
        done = subprocess.run(
            ["gcloud", "auth", "print-access-token"],  # noqa: S607 - wherever the user has it
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise SettingsError("no Google Cloud credentials; run `gcloud auth login`") from error
    return done.stdout.strip()


def _message(body: bytes) -> str:
    try:
        return str(json.loads(body)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return body[:200].decode("utf-8", "replace")
