"""Where Google's tokens come from, over real HTTP: OAuth, workload identity federation, impersonation, the metadata.

Source: Google Cloud, "Workload Identity Federation", "Security Token Service API: token", "IAM Service Account
Credentials API: generateAccessToken", "About VM metadata"; GitHub, "OpenID Connect" (the request of a token).
"""

import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from onnxlet_cli.local.http import Handler, serving

IAM = "iamcredentials.googleapis.com"
OAUTH = "oauth2.googleapis.com"
ACCOUNT = "deployer@project-1.iam.gserviceaccount.com"
OIDC = "the-oidc-token-of-ci"

USER, KEY, FEDERATED, MACHINE = "of-the-user", "of-the-key", "federated", "of-the-machine"
"""The access tokens that are given out."""


def impersonated(by: str) -> str:
    """The access token of the account, by whoever may impersonate it."""
    return f"of-the-deployer-by-{by}"


@dataclass
class Google:
    """The endpoints; what they were asked."""

    url: str = ""
    context: ssl.SSLContext | None = None
    certificate: Path | None = None
    asked: list[str] = field(default_factory=list)

    def variables(self) -> dict[str, str]:
        """Variables by which google-auth finds Google's own addresses here."""
        return {"HTTPS_PROXY": self.url, "REQUESTS_CA_BUNDLE": str(self.certificate), "NO_PROXY": "127.0.0.1"}

    def user(self) -> dict[str, Any]:
        """A credential file, as `gcloud auth application-default login` writes it."""
        return {
            "type": "authorized_user",
            "client_id": "id",
            "client_secret": "secret",
            "refresh_token": "refresh",
        }

    def service_account(self) -> dict[str, Any]:
        """The key of a service account."""
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        return {
            "type": "service_account",
            "project_id": "project-1",
            "client_email": ACCOUNT,
            "client_id": "1",
            "private_key_id": "1",
            "private_key": _pem(key),
            "token_uri": f"{self.url}/token",
        }

    def external(self, *, is_impersonating: bool = False) -> dict[str, Any]:
        """What `google-github-actions/auth` writes: a token of GitHub's is exchanged for one of Google's."""
        source = {
            "url": f"{self.url}/oidc",
            "headers": {"Authorization": "Bearer request-token"},
            "format": {"type": "json", "subject_token_field_name": "value"},
        }
        found: dict[str, Any] = {
            "type": "external_account",
            "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/github",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": f"{self.url}/v1/token",
            "credential_source": source,
        }
        if is_impersonating:
            found["service_account_impersonation_url"] = f"{self.url}{_path_of(ACCOUNT)}"
        return found

    def impersonating(self) -> dict[str, Any]:
        """What `gcloud auth application-default login --impersonate-service-account` writes."""
        return {
            "type": "impersonated_service_account",
            "service_account_impersonation_url": f"https://{IAM}{_path_of(ACCOUNT)}",
            "source_credentials": self.user(),
        }


class GoogleHandler(Handler):
    """What one request is answered."""

    google: Google

    def do_CONNECT(self) -> None:
        """Be the host that is asked for, as a proxy that ends TLS itself."""
        assert self.google.context is not None
        self.google.asked.append(f"CONNECT {self.path}")
        self.send_response(200)
        self.end_headers()
        self.connection = self.google.context.wrap_socket(self.connection, server_side=True)
        self.rfile = self.connection.makefile("rb")
        self.wfile = self.connection.makefile("wb", buffering=0)
        self.close_connection = False

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
        self.google.asked.append(f"POST {self.path}")
        if self.path == "/token":
            is_user = parse_qs(body)["grant_type"] == ["refresh_token"]
            self.answer({"access_token": USER if is_user else KEY, "expires_in": 3600, "token_type": "Bearer"})
        elif self.path == "/v1/token":
            self.exchange(parse_qs(body)["subject_token"][0])
        elif self.path == _path_of(ACCOUNT):
            by = self.headers["authorization"].removeprefix("Bearer ")
            expires = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
            self.answer({"accessToken": impersonated(by), "expireTime": expires})
        else:
            self.answer({"error": "unauthorized"}, 403)

    def exchange(self, subject_token: str) -> None:
        if subject_token != OIDC:
            self.answer({"error": "invalid_grant", "error_description": "the token is not GitHub's"}, 400)
            return
        kind = "urn:ietf:params:oauth:token-type:access_token"
        self.answer({"access_token": FEDERATED, "issued_token_type": kind, "token_type": "Bearer", "expires_in": 3600})

    def do_GET(self) -> None:
        self.google.asked.append(f"GET {self.path}")
        if self.path == "/oidc" and self.headers["authorization"] == "Bearer request-token":
            self.answer({"value": OIDC})
        elif self.headers["metadata-flavor"] == "Google":
            self.answer({"access_token": MACHINE, "expires_in": 3600, "token_type": "Bearer", "email": ACCOUNT})
        else:
            self.answer({}, 404)

    def answer(self, document: dict[str, Any], status: int = 200) -> None:
        headers = {"content-type": "application/json", "metadata-flavor": "Google"}
        self.reply(status, json.dumps(document).encode(), headers)


@contextmanager
def serving_google(folder: Path) -> Iterator[Google]:
    """Serve all of it; a folder takes the certificate of Google's hosts."""
    google = Google()
    google.certificate, google.context = _certificate(folder)
    handler = type("BoundGoogleHandler", (GoogleHandler,), {"google": google})
    with serving(handler) as google.url:
        yield google


def _path_of(account: str) -> str:
    return f"/v1/projects/-/serviceAccounts/{account}:generateAccessToken"


def _pem(key: rsa.RSAPrivateKey) -> str:
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(encoding, form, serialization.NoEncryption()).decode()


def _certificate(folder: Path) -> tuple[Path, ssl.SSLContext]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, IAM)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host) for host in (IAM, OAUTH)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "google.pem"
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "google.key").write_text(_pem(key))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path, folder / "google.key")
    return path, context
