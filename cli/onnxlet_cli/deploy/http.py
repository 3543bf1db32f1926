"""HTTP as a deployment's first caller sends it."""

import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from email.message import Message
from urllib.parse import urlsplit, urlunsplit

from onnxlet_cli.deploy.cloud import Reply

TIMEOUT_S = 60
"""A cold start with a large model, and the reply."""


def send(url: str, body: bytes | None, headers: Mapping[str, str]) -> Reply:
    """Send a request: GET, or POST where there is a body.

    Where `AWS_ENDPOINT_URL` names an AWS of one's own, that is where its hosts' names lead.

    Raises:
        OSError: nothing answers.
    """
    parts = urlsplit(url)
    own = urlsplit(os.environ.get("AWS_ENDPOINT_URL") or "")
    if own.netloc:
        headers = {**headers, "Host": parts.netloc}
        url = urlunsplit((own.scheme, own.netloc, parts.path, parts.query, ""))
    return send_to(url, body, headers)


def send_to(url: str, body: bytes | None, headers: Mapping[str, str]) -> Reply:
    """Send a request to exactly this address; otherwise as `send`."""
    request = urllib.request.Request(url, body, dict(headers))  # noqa: S310 - the deployment's own address
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as reply:  # noqa: S310 - as above
            return Reply(reply.status, _lower(reply.headers), reply.read())
    except urllib.error.HTTPError as error:
        with error:
            return Reply(error.code, _lower(error.headers), error.read())


def _lower(headers: Message) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
