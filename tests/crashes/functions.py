"""The functions that are killed, and frozen: Lambda's own runtime, whose store is behind a front."""

import os
import signal
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import quote_plus

from onnxlet_cli.local.lambda_function import LambdaFunction
from tests.conftest import BUCKET

TIMEOUT_S = 60


def send_signal(function: LambdaFunction, number: signal.Signals) -> None:
    """Signal all processes of a function."""
    assert function._process is not None
    os.killpg(function._process.pid, number)


def s3_event(*keys: str) -> dict[str, Any]:
    """S3's notification of new objects."""
    return {
        "Records": [
            {
                "eventSource": "aws:s3",
                "eventName": "ObjectCreated:Put",
                "s3": {"bucket": {"name": BUCKET}, "object": {"key": quote_plus(key, safe="/"), "size": 1}},
            }
            for key in keys
        ]
    }


def post(url: str, body: bytes, media_type: str) -> tuple[int, bytes]:
    """Status and body of an answer."""
    request = urllib.request.Request(url, body, {"content-type": media_type})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as reply:
            return reply.status, reply.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
