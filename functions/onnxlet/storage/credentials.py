"""Credentials that obstore does not find, or does not hand out for the requests of `exact_read`.

A function that Lambda restored from a snapshot has an endpoint that gives credentials instead of variables. obstore
supports this endpoint only with a file for the token; without one it asks EC2's metadata service.

Source: AWS Lambda developer guide, "Activating and managing SnapStart"; AWS SDKs reference, "Container credential
provider"; Google Cloud, "About VM metadata" and "Application Default Credentials".
"""

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from onnxlet.errors import CredentialsError
from onnxlet.storage.connection import ContainerCredentials

TIMEOUT_S = 5.0
"""Timeout of a request for credentials."""

READ_AGAIN = timedelta(minutes=10)
"""Validity given to a token from a file; obstore reads the file again five minutes before the end."""

GOOGLE_KEYS = (
    "GOOGLE_APPLICATION_CREDENTIALS",
    "GOOGLE_SERVICE_ACCOUNT",
    "GOOGLE_SERVICE_ACCOUNT_PATH",
    "GOOGLE_SERVICE_ACCOUNT_KEY",
)
"""Variables from which obstore takes a private key; the standard library cannot sign with such a key."""

TOKEN_PATH = "/computeMetadata/v1/instance/service-accounts/default/token"  # noqa: S105 - a path


def aws_provider() -> Callable[[], dict[str, Any]] | None:
    """Return a provider of the AWS credentials in the environment variables that obstore reads, or None."""
    keys = {
        "access_key_id": os.environ.get("AWS_ACCESS_KEY_ID"),
        "secret_access_key": os.environ.get("AWS_SECRET_ACCESS_KEY"),
        "token": os.environ.get("AWS_SESSION_TOKEN") or os.environ.get("AWS_TOKEN"),
    }
    return (lambda: keys) if keys["access_key_id"] and keys["secret_access_key"] else None


def has_google_key() -> bool:
    """Return whether the environment names a private key for Google, which replaces the service account."""
    return any(os.environ.get(name) for name in GOOGLE_KEYS)


def google_token() -> str:
    """Return an access token of the function's service account.

    Raises:
        CredentialsError: the metadata service returns no token.
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
    """A provider of the access token for Google in a file, which another process renews; obstore calls it often."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __call__(self) -> dict[str, Any]:
        """Return the token in obstore's form.

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
    """A provider of the credentials from a function's endpoint; obstore calls it again before they expire."""

    def __init__(self, endpoint: ContainerCredentials) -> None:
        self._endpoint = endpoint

    def __call__(self) -> dict[str, Any]:
        """Return the credentials in obstore's form.

        Raises:
            CredentialsError: the endpoint returns no credentials.
        """
        from http.client import HTTPConnection, HTTPException  # only functions from a snapshot need these
        from urllib.parse import urlsplit

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
