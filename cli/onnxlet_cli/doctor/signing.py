"""Requests signed for AWS, with the user's own credentials, where a function asks for that."""

import os
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from onnxlet_cli import sigv4

LOOPBACK = ("127.0.0.1", "localhost")

SERVICES = {"lambda-url": "lambda", "execute-api": "execute-api"}

_HOST = re.compile(r"\.(?P<service>lambda-url|execute-api)\.(?P<region>[a-z0-9-]+)\.(?:on\.aws|amazonaws\.com)$")


def scope(url: str) -> tuple[str, str] | None:
    """The service and the region that a URL's signatures are for; None where it is not AWS's: no token goes there."""
    host = urlsplit(url).hostname or ""
    match = _HOST.search(host)
    if match:
        return SERVICES[match["service"]], match["region"]
    if host in LOOPBACK:
        return "lambda", os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    return None


def signed(url: str, body: bytes | None, headers: Mapping[str, str]) -> dict[str, str] | None:
    """The headers of a request with a signature; None where there are no credentials, or it is not AWS that asks."""
    found = scope(url)
    if found is None:
        return None
    # Imported only here: boto3 takes longer than all else that the doctor does, and few ask for it.
    import boto3
    from botocore.exceptions import BotoCoreError

    try:
        credentials = boto3.Session().get_credentials()
    except BotoCoreError:
        return None
    if credentials is None:
        return None
    return sigv4.signed(credentials, *found, url, body, headers)


def command(url: str) -> str:
    """How a user calls such a function by hand."""
    service, region = scope(url) or ("lambda", "REGION")
    return f"curl {sigv4.curl_options(service, region)} {url}"
