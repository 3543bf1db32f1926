"""Credentials that obstore does not find, or does not hand out to a request of our own.

A function that was restored from a snapshot has none in its environment, but an endpoint that gives them. obstore knows
this endpoint only with a file for its token, and would ask the address of EC2's metadata instead.

Source: AWS Lambda developer guide, "Activating and managing SnapStart"; AWS SDKs reference, "Container credential
provider"; Google Cloud, "About VM metadata" and "Application Default Credentials".
"""

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from onnxlet.errors import CredentialsError
from onnxlet.storage.connection import ContainerCredentials

TIMEOUT_S = 5.0

READ_AGAIN = timedelta(minutes=10)
"""When a file's token is read again at the latest; obstore does that five minutes earlier."""

GOOGLE_KEYS = (
    "GOOGLE_APPLICATION_CREDENTIALS",
    "GOOGLE_SERVICE_ACCOUNT",
    "GOOGLE_SERVICE_ACCOUNT_PATH",
    "GOOGLE_SERVICE_ACCOUNT_KEY",
)
"""Variables by which obstore takes a private key, which the standard library cannot sign with."""

TOKEN_PATH = "/computeMetadata/v1/instance/service-accounts/default/token"  # noqa: S105 - a path


def aws_provider() -> Callable[[], dict[str, Any]] | None:
    """Return what gives the environment's credentials for AWS, which obstore takes from the same variables, or None."""
    found = {
        "access_key_id": os.environ.get("AWS_ACCESS_KEY_ID"),
        "secret_access_key": os.environ.get("AWS_SECRET_ACCESS_KEY"),
        "token": os.environ.get("AWS_SESSION_TOKEN") or os.environ.get("AWS_TOKEN"),
    }
    return (lambda: found) if found["access_key_id"] and found["secret_access_key"] else None


def has_google_key() -> bool:
    """Whether the environment names a private key for Google, in place of the function's own service account."""
    return any(os.environ.get(name) for name in GOOGLE_KEYS)


def google_token() -> str:
    """Return a token of the function's service account.

    Raises:
        CredentialsError: the metadata service gives none.
    """
    from http.client import HTTPConnection, HTTPException  # only for a key that obstore cannot read

    host = os.environ.get("GCE_METADATA_HOST") or "metadata.google.internal"
    try:
        connection = HTTPConnection(host, timeout=TIMEOUT_S)
        connection.request("GET", TOKEN_PATH, headers={"Metadata-Flavor": "Google"})
        document = json.loads(connection.getresponse().read())
        connection.close()
        return str(document["access_token"])
    except (OSError, HTTPException, ValueError, KeyError, TypeError) as error:
        raise CredentialsError(f"http://{host}: expected a token of the service account, got {error!r}") from error


class TokenFile:
    """Reads an access token for Google from a file, which somebody else renews; obstore calls it again and again."""

    def __init__(self, path: str) -> None:
        """Take the file."""
        self._path = path

    def __call__(self) -> dict[str, Any]:
        """Return the token, as obstore takes it.

        Raises:
            CredentialsError: the file cannot be read.
        """
        try:
            with open(self._path) as file:
                token = file.read().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise CredentialsError(f"{self._path}: expected an access token, got {error!r}") from error
        return {"token": token, "expires_at": datetime.now(UTC) + READ_AGAIN}


class ContainerCredentialProvider:
    """Asks the endpoint for credentials; obstore calls it again when they are about to expire."""

    def __init__(self, endpoint: ContainerCredentials) -> None:
        """Take the endpoint and the token that opens it."""
        self._endpoint = endpoint

    def __call__(self) -> dict[str, Any]:
        """Credentials, as obstore takes them.

        Raises:
            CredentialsError: the endpoint gives none.
        """
        from http.client import HTTPConnection, HTTPException  # of functions that start from a snapshot alone

        address = urlsplit(self._endpoint.url)
        try:
            connection = HTTPConnection(address.netloc, timeout=TIMEOUT_S)
            connection.request("GET", address.path or "/", headers={"Authorization": self._endpoint.token})
            reply = connection.getresponse()
            document = json.loads(reply.read())
            connection.close()
            return {
                "access_key_id": document["AccessKeyId"],
                "secret_access_key": document["SecretAccessKey"],
                "token": document["Token"],
                "expires_at": datetime.fromisoformat(document["Expiration"]),
            }
        except (OSError, HTTPException, ValueError, KeyError, TypeError) as error:
            raise CredentialsError(f"{self._endpoint.url}: expected credentials, got {error!r}") from error
