"""The signature by which AWS knows who sends a request, and how curl makes the same."""

from collections.abc import Mapping
from typing import Any


def signed(
    credentials: Any, service: str, region: str, url: str, body: bytes | None, headers: Mapping[str, str]
) -> dict[str, str]:
    """The headers of a request with a signature: of a GET, or of a POST where there is a body.

    Args:
        credentials: botocore's.
        service: `lambda` for a Function URL, `execute-api` for an API Gateway.
        region: Where that is.
        url: What is asked.
        body: What is sent.
        headers: What else is sent with it.
    """
    # Imported only here: botocore takes longer than all else that the doctor does, and few ask for it.
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest

    request = AWSRequest("GET" if body is None else "POST", url, dict(headers), body or b"")
    SigV4Auth(credentials, service, region).add_auth(request)
    return dict(request.headers.items())


def curl_options(service: str, region: str) -> str:
    """What makes curl sign a request with the credentials of the environment."""
    return (
        f'--aws-sigv4 aws:amz:{region}:{service} --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" '
        '-H "x-amz-security-token: $AWS_SESSION_TOKEN"'
    )
