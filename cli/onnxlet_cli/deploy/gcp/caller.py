"""The caller of the HTTP function on Google Cloud: an identity token of gcloud, unless anybody may call."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from onnxlet_cli import http_client
from onnxlet_cli.deploy.cloud import NotCalled
from onnxlet_cli.deploy.process import run_tool
from onnxlet_cli.http_client import Response

ALLOW_ALL = "ALLOW_ALL"
"""The ingress setting that lets requests come from anywhere."""


@dataclass(frozen=True)
class Caller:
    """A caller from this machine."""

    folder: Path
    is_public: bool
    ingress: str = ALLOW_ALL

    def send(self, base_url: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Response | NotCalled:
        """Send a request, if this machine can be a caller; raises as `http_client.send`."""
        if not self.is_public:
            token = self._token(base_url)
            if token is None:
                return NotCalled("this machine has no identity token (gcloud is not there, or not logged in)")
            headers = {**headers, "authorization": f"Bearer {token}"}
        response = http_client.send(f"{base_url}{path}", body, headers)
        if self.ingress != ALLOW_ALL and _is_kept_out(response):
            return NotCalled(f"ingress {self.ingress} keeps requests from this machine out (status {response.status})")
        return response

    def _token(self, audience: str) -> str | None:
        """Return an identity token of a user, or of a service account for this audience."""
        executable = shutil.which("gcloud")
        if executable is None:
            return None
        for options in ([], [f"--audiences={audience}"]):
            done = run_tool([executable, "auth", "print-identity-token", "--quiet", *options], self.folder)
            if done.is_ok:
                words = [line for line in done.text.splitlines() if line and " " not in line]  # warnings have spaces
                return words[-1] if words else None
        return None


def _is_kept_out(response: Response) -> bool:
    """Return whether Cloud Run itself may have refused a request because of the ingress setting.

    Cloud Run answers with an HTML page, of status 404 or in earlier years 403. The function answers in JSON.

    Source: Cloud Run, "Restrict network ingress"; ahmetb/runsd #40.
    """
    is_of_function = response.headers.get("content-type", "").startswith("application/json")
    return not is_of_function and (
        response.status == 404 or (response.status == 403 and b"Access is forbidden" in response.body)
    )
