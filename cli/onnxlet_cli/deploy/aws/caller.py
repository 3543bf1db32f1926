"""The caller of a stack's HTTP function: what each kind of authorization adds to a request."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from onnxlet_cli import http_client, sigv4
from onnxlet_cli.deploy.aws.api_errors import aws_errors
from onnxlet_cli.http_client import Response


@dataclass(frozen=True)
class Caller:
    """A caller with the credentials of the command."""

    session: Any
    """The session of boto3."""
    auth: str
    """The template's `UrlAuth`: `AWS_IAM`, `API_KEY` or `NONE`."""
    api_key_id: str | None = None

    def send(self, url: str, body: bytes | None, headers: Mapping[str, str]) -> Response:
        """Send a request with a signature or the API key, as the function wants it; raises as `http_client.send`.

        `AWS_ENDPOINT_URL` names another AWS, which then gets the requests for AWS's hosts.
        """
        headers = {**headers, **self._authorization(url, body, headers)}
        parts, endpoint = urlsplit(url), urlsplit(os.environ.get("AWS_ENDPOINT_URL") or "")
        if endpoint.netloc:
            headers = {**headers, "Host": parts.netloc}
            url = urlunsplit((endpoint.scheme, endpoint.netloc, parts.path, parts.query, ""))
        return http_client.send(url, body, headers)

    def curl_options(self) -> str:
        """Return the options with which curl is authorized."""
        if self.auth == "AWS_IAM":
            return f"{sigv4.curl_options('lambda', self.session.region_name)} "
        return '-H "x-api-key: $KEY" ' if self.auth == "API_KEY" else ""

    def _authorization(self, url: str, body: bytes | None, headers: Mapping[str, str]) -> dict[str, str]:
        if self.auth == "AWS_IAM":
            with aws_errors("AWS"):
                credentials = self.session.get_credentials().get_frozen_credentials()
            return sigv4.signed(credentials, sigv4.service_of(url), self.session.region_name, url, body, headers)
        if self.auth == "API_KEY":
            with aws_errors("API Gateway"):
                key = self.session.client("apigateway").get_api_key(apiKey=self.api_key_id, includeValue=True)
            return {"x-api-key": str(key["value"])}
        return {}
