"""Credentials of a function that was restored from a snapshot: its environment has none, an endpoint beside it does.

Source: AWS Lambda developer guide, "Activating and managing SnapStart"; the answer is that of the container credential
provider (AWS SDKs reference, "Container credential provider"). obstore knows this endpoint only with a file for its
token, and would ask the address of EC2's metadata instead.
"""

import json
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from onnxlet.config import ContainerCredentials
from onnxlet.errors import CredentialsError

TIMEOUT_S = 5.0


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
