"""Connection: where the object stores are, and how long a connection to them may take."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from onnxlet.record import Record

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig

STALL_S = 5
"""Seconds of silence after which a request is sent again over another connection.

A thawed function finds its connections dead, and a firewall drops connections silently. A connection that was idle for
this long is not used again, so that several dead ones cannot delay one attempt after another.
"""

CLIENT: ClientConfig = {"read_timeout": timedelta(seconds=STALL_S), "pool_idle_timeout": timedelta(seconds=STALL_S)}
"""Options of obstore for connections."""

RETRY: RetryConfig = {
    "max_retries": 4,
    "retry_timeout": timedelta(seconds=10),
    "backoff": {"init_backoff": timedelta(milliseconds=50), "max_backoff": timedelta(seconds=1), "base": 2},
}
"""Options of obstore for retries: its default of three minutes is longer than a function's clients wait."""


class ContainerCredentials(Record):
    """The endpoint that gives credentials to a function that Lambda restored from a snapshot."""

    url: str
    """`AWS_CONTAINER_CREDENTIALS_FULL_URI`."""
    token: str
    """`AWS_CONTAINER_AUTHORIZATION_TOKEN`."""


class StorageSettings(Record):
    """Settings for the object stores; obstore finds all other options and credentials by the clouds' own rules."""

    s3_endpoint: str | None = None
    """`AWS_ENDPOINT_URL_S3`, else `AWS_ENDPOINT_URL`: an S3 service other than AWS's."""
    gcs_endpoint: str | None = None
    """`STORAGE_EMULATOR_HOST`: a Cloud Storage service other than Google's, which gets no credentials."""
    gcs_base_url: str | None = None
    """`GOOGLE_BASE_URL`, which obstore reads, too: a private address of Google's Cloud Storage, with credentials."""
    gcs_credentials: Callable[[], dict[str, Any]] | None = None
    """A provider, in obstore's form, of an access token and its expiry. Only the command sets it, for credentials that
    obstore cannot read."""
    gcs_token_file: str | None = None
    """`CLOUDSDK_AUTH_ACCESS_TOKEN_FILE`: a file with an access token that another process renews (`onnxlet serve`)."""
    container: ContainerCredentials | None = None
    """The endpoint that gives credentials, if the environment has none."""
    s3_region: str | None = None
    """`AWS_REGION`, else `AWS_DEFAULT_REGION`."""
    has_fips: bool = False
    """`AWS_USE_FIPS_ENDPOINT`: whether to use the FIPS 140 endpoints of AWS's S3."""
    has_dual_stack: bool = False
    """`AWS_USE_DUALSTACK_ENDPOINT`: whether to use AWS's S3 over IPv6, too."""
    ca_bundle: str | None = None
    """`AWS_CA_BUNDLE`: the file of a certificate authority that may also sign S3's certificate."""
