"""Requests signed for AWS (SigV4), and the options that make curl sign the same way."""

import os
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

LOOPBACK = ("127.0.0.1", "localhost")

_HOST = re.compile(r"\.(?:lambda-url|execute-api)\.(?P<region>[a-z0-9-]+)\.(?:on\.aws|amazonaws\.com)$")


def service_of(url: str) -> str:
    """Return the service that a URL's signature names: `execute-api` for API Gateway, `lambda` for a Function URL."""
    return "execute-api" if ".execute-api." in urlsplit(url).netloc else "lambda"


def scope(url: str) -> tuple[str, str] | None:
    """Return the service and the region of a URL; None if the host is not AWS's and must get no signature."""
    host = urlsplit(url).hostname or ""
    if match := _HOST.search(host):
        return service_of(url), match["region"]
    if host in LOOPBACK:
        return "lambda", os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    return None


def signed(
    credentials: Any, service: str, region: str, url: str, body: bytes | None, headers: Mapping[str, str]
) -> dict[str, str]:
    """Return the headers of a GET, or of a POST if there is a body, with a signature.

    Args:
        credentials: botocore's credentials.
        service: `lambda` or `execute-api`.
        region: The region of the service.
        url: The request's URL.
        body: The request's body.
        headers: The request's other headers.
    """
    # Imported only here: botocore takes longer to import than the rest of the command.
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest

    request = AWSRequest("GET" if body is None else "POST", url, dict(headers), body or b"")
    SigV4Auth(credentials, service, region).add_auth(request)
    return dict(request.headers.items())


def signed_by_user(url: str, body: bytes | None, headers: Mapping[str, str]) -> dict[str, str] | None:
    """Return headers signed with the user's own credentials; None without credentials, or if the host is not AWS's."""
    service_and_region = scope(url)
    if service_and_region is None:
        return None
    import boto3  # imported only here, as in `signed`
    from botocore.exceptions import BotoCoreError

    try:
        credentials = boto3.Session().get_credentials()
    except BotoCoreError:
        return None
    if credentials is None:
        return None
    return signed(credentials, *service_and_region, url, body, headers)


def curl_options(service: str, region: str) -> str:
    """Return the options with which curl signs a request with the credentials of the environment."""
    return (
        f'--aws-sigv4 aws:amz:{region}:{service} --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" '
        '-H "x-amz-security-token: $AWS_SESSION_TOKEN"'
    )


def curl_command(url: str) -> str:
    """Return the command with which a user sends a signed request by hand."""
    service, region = scope(url) or ("lambda", "REGION")
    return f"curl {curl_options(service, region)} {url}"
