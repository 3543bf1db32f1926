"""Connection: how the object stores are reached, beside what obstore finds by the clouds' own rules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from onnxlet.record import Record


class ContainerCredentials(Record):
    """Where a function that was restored from a snapshot gets its credentials."""

    url: str
    """`AWS_CONTAINER_CREDENTIALS_FULL_URI`."""
    token: str
    """`AWS_CONTAINER_AUTHORIZATION_TOKEN`."""


class StorageSettings(Record):
    """How the object stores are reached; credentials and regions obstore finds by the clouds' own rules."""

    s3_endpoint: str | None = None
    """`AWS_ENDPOINT_URL_S3`, else `AWS_ENDPOINT_URL`: an S3 other than AWS's own."""
    gcs_endpoint: str | None = None
    """`STORAGE_EMULATOR_HOST`: a Cloud Storage other than Google's own; no credentials are sent to it."""
    gcs_base_url: str | None = None
    """`GOOGLE_BASE_URL`, which obstore reads, too: a private address of Google's Cloud Storage, with credentials."""
    gcs_credentials: Callable[[], dict[str, Any]] | None = None
    """Returns an access token and its end, as obstore takes it, in place of the credentials that obstore finds itself.
    Only the command sets it, for credentials that obstore cannot read."""
    gcs_token_file: str | None = None
    """`CLOUDSDK_AUTH_ACCESS_TOKEN_FILE`: a file with an access token, which somebody else renews (`onnxlet serve`)."""
    container: ContainerCredentials | None = None
    """In place of the environment's own credentials, where that has none."""
    s3_region: str | None = None
    """`AWS_REGION`, else `AWS_DEFAULT_REGION`."""
    has_fips: bool = False
    """`AWS_USE_FIPS_ENDPOINT`: whether AWS's own S3 is reached at its FIPS 140 endpoints."""
    has_dual_stack: bool = False
    """`AWS_USE_DUALSTACK_ENDPOINT`: whether AWS's own S3 is reached over IPv6, too."""
    ca_bundle: str | None = None
    """`AWS_CA_BUNDLE`: the file of a certificate authority that S3's certificate may be signed by, too."""
