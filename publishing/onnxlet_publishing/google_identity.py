"""The user's identity on Google Cloud, the same for gs:// registries, for Vertex AI and for Terraform.

obstore reads two kinds of credential files. google-auth reads all of them: service accounts, users, workload identity
federation (`external_account`, as in CI), workforce identities and impersonated service accounts.

Source: Google Cloud, "How Application Default Credentials works"; Terraform's provider for Google, "Authentication";
Terraform's backend for Cloud Storage, "Configuration variables".
"""

import importlib
import json
import os
from collections.abc import Mapping
from datetime import UTC
from pathlib import Path
from typing import Any

from onnxlet.record import replace
from onnxlet.settings import storage_from_environment
from onnxlet.storage.connection import StorageSettings
from onnxlet_publishing.errors import AccountError

SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)

TOKEN = "GOOGLE_OAUTH_ACCESS_TOKEN"  # noqa: S105 - a variable's name
"""The variable of an access token, which cannot be renewed."""
CREDENTIALS = ("GOOGLE_CREDENTIALS", "GOOGLE_CLOUD_KEYFILE_JSON", "GCLOUD_KEYFILE_JSON")
"""Terraform's variables for the path or the text of a credential file."""
FILE = "GOOGLE_APPLICATION_CREDENTIALS"
IMPERSONATED = "GOOGLE_IMPERSONATE_SERVICE_ACCOUNT"
"""The variable of a service account that the credentials impersonate, wherever they come from."""

LOADERS = {
    "authorized_user": ("google.oauth2.credentials", "from_authorized_user_info"),
    "service_account": ("google.oauth2.service_account", "from_service_account_info"),
    "external_account": ("google.auth.identity_pool", "from_info"),
    "external_account of AWS": ("google.auth.aws", "from_info"),
    "external_account of a program": ("google.auth.pluggable", "from_info"),
    "external_account_authorized_user": ("google.auth.external_account_authorized_user", "from_info"),
    "impersonated_service_account": (
        "google.auth.impersonated_credentials",
        "from_impersonated_service_account_info",
    ),
}
"""The module of google-auth, and the method of its `Credentials`, that read each type of credential file."""
WITHOUT_SCOPES = ("authorized_user", "external_account_authorized_user")
"""Types without scopes: the user agreed to the scopes at login."""
AWS_TOKEN = "urn:ietf:params:aws:token-type:aws4_request"  # noqa: S105 - a type's name

LOGIN = "run `gcloud auth application-default login`"


class Identity:
    """Credentials of google-auth, and the variables that give Terraform the same credentials."""

    def __init__(self, credentials: Any, source: str, variables: Mapping[str, str]) -> None:
        self.source = source
        self.variables = variables
        self._credentials = credentials

    def impersonating(self, account: str) -> "Identity":
        """Return the identity of a service account that this identity impersonates, as Terraform does automatically."""
        from google.auth.impersonated_credentials import Credentials
        from google.oauth2.credentials import Credentials as TokenCredentials

        own = self._credentials
        source = TokenCredentials(own.token) if isinstance(own, _Token) else own
        credentials = Credentials(source, account, SCOPES)
        return Identity(credentials, f"{self.source}, impersonating {account}", self.variables)

    def token(self) -> str:
        """Return an access token, a new one if the credentials can be renewed.

        Raises:
            AccountError: Google does not accept the credentials.
        """
        return str(self()["token"])

    def __call__(self) -> dict[str, Any]:
        """Return an access token and its expiry in obstore's form; raises as `token`."""
        from google.auth.exceptions import GoogleAuthError
        from google.auth.transport.requests import Request

        if not isinstance(self._credentials, _Token):
            try:
                self._credentials.refresh(Request())
            except (GoogleAuthError, OSError, ValueError) as error:
                raise AccountError(f"{self.source}: Google refuses the credentials: {_reason(error)}") from error
        expiry = self._credentials.expiry
        return {
            "token": self._credentials.token,
            "expires_at": expiry if expiry is None or expiry.tzinfo else expiry.replace(tzinfo=UTC),
        }


class _Token:
    """A token without the credentials that could renew it."""

    expiry = None

    def __init__(self, token: str) -> None:
        self.token = token


def storage_of(url: str, environment: Mapping[str, str] = os.environ) -> StorageSettings:
    """Return the settings of a store, with the user's credentials if its URL is on gs://.

    Raises:
        AccountError: The URL is on gs://, and the credentials that the environment names cannot be read.
    """
    settings = storage_from_environment(environment)
    if not url.startswith("gs://") or settings.gcs_endpoint:
        return settings
    return replace(settings, gcs_credentials=find_identity(environment))


def require_identity(environment: Mapping[str, str] = os.environ) -> Identity:
    """Return the user's identity.

    Raises:
        AccountError: There are no credentials, or they cannot be read; the text says what to do.
    """
    identity = find_identity(environment)
    if identity is None:
        raise AccountError(f"no Google credentials: {LOGIN}")
    return identity


def find_identity(environment: Mapping[str, str] = os.environ) -> Identity | None:
    """Return the user's identity, or None if there are no credentials.

    The first of these credentials counts, in the order of Terraform's provider: an access token, Terraform's own
    variables, `GOOGLE_APPLICATION_CREDENTIALS`, the login of `gcloud auth application-default login` (below
    `CLOUDSDK_CONFIG`), the metadata server of Google's machines.

    Raises:
        AccountError: The environment names credentials that cannot be read.
    """
    from google.auth.exceptions import GoogleAuthError

    try:
        identity = _find(environment)
        account = environment.get(IMPERSONATED)
        return identity.impersonating(account) if identity and account else identity
    except (GoogleAuthError, OSError, ValueError) as error:
        raise AccountError(f"Google credentials: {_reason(error)}") from error


def _find(environment: Mapping[str, str]) -> Identity | None:
    token = environment.get(TOKEN)
    if token:
        return Identity(_Token(token), TOKEN, {TOKEN: token})
    for name in CREDENTIALS:
        if text := environment.get(name):
            return _of_text(text, name)
    path = _credential_file(environment)
    if path is not None:
        return Identity(_load(_read(path), str(path)), str(path), {FILE: str(path)})
    return _of_this_machine()


def _of_text(text: str, name: str) -> Identity:
    """Return the identity of one of Terraform's own variables: the path or the text of a credential file."""
    if text.lstrip().startswith("{"):
        return Identity(_load(text, name), name, {CREDENTIALS[0]: text})
    path = _named_file(Path(text).expanduser(), name)
    return Identity(_load(_read(path), name), name, {CREDENTIALS[0]: str(path)})


def _credential_file(environment: Mapping[str, str]) -> Path | None:
    """Return the file of the Application Default Credentials, or None.

    The path is absolute, because Terraform runs in another folder and does not know `CLOUDSDK_CONFIG`.

    Raises:
        AccountError: The environment names a file that does not exist.
    """
    named = environment.get(FILE)
    if named:
        return _named_file(Path(named), FILE)
    folder = environment.get("CLOUDSDK_CONFIG") or Path.home() / ".config/gcloud"
    if os.name == "nt" and not environment.get("CLOUDSDK_CONFIG"):
        folder = Path(environment.get("APPDATA", "")) / "gcloud"
    path = Path(folder).absolute() / "application_default_credentials.json"
    return path if path.is_file() else None


def _named_file(path: Path, name: str) -> Path:
    """Return the absolute path of the file that a variable names.

    Raises:
        AccountError: The file does not exist. The text shows only what must be a path, because a key that was put into
            the variable, as JSON or base64, must not appear in a log.
    """
    if not os.path.isfile(path):  # noqa: PTH113 - Path.is_file raises if the "path" is a whole key
        shown = f"{path}: " if path.suffix == ".json" else ""
        raise AccountError(f"{name}: {shown}no such file; expected the path of a credential file")
    return path.absolute()


def _of_this_machine() -> Identity | None:
    """Return the identity of a machine on Google Cloud, or None."""
    import google.auth
    from google.auth.exceptions import DefaultCredentialsError

    try:
        credentials, _ = google.auth.default(scopes=SCOPES)
    except DefaultCredentialsError:
        return None
    return Identity(credentials, "the metadata server", {})


def _load(text: str, name: str) -> Any:
    """Return the credentials in the text of a credential file.

    Raises:
        AccountError: The text is not that of a credential file.
    """
    from google.auth.exceptions import GoogleAuthError

    try:
        document = json.loads(text)
        kind = document["type"]
        if kind == "external_account":
            kind = _external_kind(document)
        module, loader = LOADERS[kind]
        load = getattr(importlib.import_module(module).Credentials, loader)
        return load(document) if kind in WITHOUT_SCOPES else load(document, scopes=SCOPES)
    except (ValueError, KeyError, TypeError, AttributeError, GoogleAuthError) as error:
        raise AccountError(f"{name}: expected a credential file of Google, got {_reason(error)}") from error


def _external_kind(document: Mapping[str, Any]) -> str:
    """Return the kind of federated credentials of a workload or a workforce, by their source."""
    if document.get("subject_token_type") == AWS_TOKEN:
        return "external_account of AWS"
    return "external_account of a program" if "executable" in document["credential_source"] else "external_account"


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise AccountError(f"{path}: cannot be read: {error}") from error


def _reason(error: Exception) -> str:
    """Return an error of google-auth in one line; google-auth may append the whole response of a server."""
    text = str(error.args[0]) if error.args else type(error).__name__
    return " ".join(text.split())[:400]
