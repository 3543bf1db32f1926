"""Backends: the obstore store behind each root URL, with its endpoint, credentials and trusted certificates."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import obstore.exceptions
from obstore.store import GCSStore, LocalStore, MemoryStore, S3Store

from onnxlet.errors import BucketNotFoundError, InvalidNameError, SettingsError, StoreError
from onnxlet.storage import urls
from onnxlet.storage.connection import CLIENT, RETRY, StorageSettings
from onnxlet.storage.reader import Stored
from onnxlet.storage.store import Store

if TYPE_CHECKING:
    from obstore.store import ClientConfig

PARTITIONS = {
    "cn-": "amazonaws.com.cn",
    "eusc-": "amazonaws.eu",
    "us-iso-": "c2s.ic.gov",
    "us-isob-": "sc2s.sgov.gov",
    "us-isof-": "csp.hci.ic.gov",
    "eu-isoe-": "cloud.adc-e.uk",
}
"""Domains of AWS's partitions by the beginning of their regions' names (botocore, partitions.json)."""

DEFAULT_REGION = "us-east-1"
"""The region that obstore uses without a setting."""

_memory_stores: dict[str, MemoryStore] = {}


def open_store(
    url: str, settings: StorageSettings | None = None, *, create: bool = False, credential_provider: Any = None
) -> Store:
    """Open a root URL: `s3://bucket/prefix`, `gs://bucket/prefix`, `file:///folder` or `memory://name`.

    Args:
        url: The root URL.
        settings: How to reach the clouds' stores.
        create: Whether to make the folder of a `file://` URL if it does not exist.
        credential_provider: A provider in obstore's form for `s3://`; by default the environment's credentials.

    Raises:
        InvalidNameError: the URL does not have one of these forms.
        BucketNotFoundError: the folder of a `file://` URL does not exist.
        SettingsError: the file of certificates cannot be read.
        StoreError: the folder of a `file://` URL cannot be made.
    """
    settings = settings or StorageSettings()
    root = urls.parse(url)
    if root.startswith("file://"):
        return _open_files(root, create=create)
    try:
        if root.startswith("memory://"):
            return Store(root, _memory_stores.setdefault(root, MemoryStore()))
        if root.startswith("s3://"):
            return _open_s3(root, settings, credential_provider)
        return _open_gcs(root, settings)
    except (ValueError, obstore.exceptions.BaseError) as error:
        raise InvalidNameError(f"{url!r:.200}: {error}") from error


def s3_url(settings: StorageSettings, bucket: str) -> str:
    """Return the URL in front of the keys of a bucket."""
    endpoint = settings.s3_endpoint
    if endpoint is not None:
        return f"{endpoint.rstrip('/')}/{bucket}"
    region = settings.s3_region or DEFAULT_REGION
    domain = next((domain for prefix, domain in PARTITIONS.items() if region.startswith(prefix)), "amazonaws.com")
    service = f"{'s3-fips' if settings.has_fips else 's3'}{'.dualstack' if settings.has_dual_stack else ''}"
    host = f"{service}.{region}.{domain}"
    # AWS's FIPS endpoints need the bucket in the host name.
    return f"https://{bucket}.{host}" if settings.has_fips else f"https://{host}/{bucket}"


def _open_files(url: str, *, create: bool) -> Store:
    from onnxlet.storage.local_files import LocalFiles, make_folder  # deployed functions have no files

    path = urls.file_path(url)
    try:
        if create:
            make_folder(path)
        if not os.path.isdir(path):
            raise BucketNotFoundError(f"{url}: no such folder")
        return LocalFiles(url, LocalStore(path))
    except (OSError, ValueError, obstore.exceptions.BaseError) as error:
        raise StoreError(f"{url}: the folder cannot be used: {error}") from error


def _open_s3(url: str, settings: StorageSettings, credential_provider: Any) -> Store:
    if credential_provider is None and settings.container is not None:
        from onnxlet.storage import credentials  # only functions from a snapshot have an endpoint

        credential_provider = credentials.ContainerCredentialProvider(settings.container)
    _, bucket, prefix = urls.split(url)
    root = s3_url(settings, bucket)
    trusted = _trusted(settings)
    config: Any = {}
    if settings.s3_region:
        config["region"] = settings.s3_region
    if settings.s3_region or settings.s3_endpoint or settings.has_fips or settings.has_dual_stack:
        is_virtual = not root.endswith(f"/{bucket}")
        endpoint = root if is_virtual else root.removesuffix(f"/{bucket}")
        config |= {"aws_endpoint_url_s3": endpoint, "virtual_hosted_style_request": is_virtual}

    def open_backend(client: ClientConfig) -> S3Store:
        options: Any = {**client, **trusted, "allow_http": root.startswith("http://")}
        return S3Store(
            bucket,
            prefix=prefix or None,
            config=config,
            client_options=options,
            retry_config=RETRY,
            credential_provider=credential_provider,
        )

    def read_exactly(key: str, version: str | None, at_most: int | None) -> Stored:
        from onnxlet.storage import exact_read  # few keys need an exact read

        region = settings.s3_region or DEFAULT_REGION
        request = exact_read.s3_request(root, _join(prefix, key), version, region, credential_provider)
        return exact_read.read(f"{url}/{key}", request, at_most, settings.ca_bundle)

    return Store(url, open_backend(CLIENT), open_backend, read_exactly)


def _open_gcs(url: str, settings: StorageSettings) -> Store:
    _, bucket, prefix = urls.split(url)
    base = settings.gcs_endpoint or settings.gcs_base_url or "https://storage.googleapis.com"
    root = f"{base.rstrip('/')}/{bucket}"
    config: Any = {"base_url": base} if settings.gcs_endpoint or settings.gcs_base_url else {}
    if settings.gcs_endpoint:
        config["service_account_key"] = (
            f'{{"gcs_base_url": "{settings.gcs_endpoint}", "disable_oauth": true, '
            '"client_email": "", "private_key": "", "private_key_id": ""}'
        )
    credentials = None if settings.gcs_endpoint else _gcs_credentials(settings)

    def open_backend(client: ClientConfig) -> GCSStore:
        options: Any = {**client, "allow_http": root.startswith("http://")}
        return GCSStore(
            bucket,
            prefix=prefix or None,
            config=config,
            client_options=options,
            retry_config=RETRY,
            credential_provider=credentials,
        )

    def read_exactly(key: str, version: str | None, at_most: int | None) -> Stored:
        from onnxlet.storage import exact_read  # few keys need an exact read

        has_token = not settings.gcs_endpoint
        request = exact_read.gcs_request(root, _join(prefix, key), version, has_token=has_token, provider=credentials)
        return exact_read.read(f"{url}/{key}", request, at_most, None)

    return Store(url, open_backend(CLIENT), open_backend, read_exactly)


def _gcs_credentials(settings: StorageSettings) -> Any:
    """Return the provider of a token; None if obstore should look for credentials, as on Google's machines."""
    if settings.gcs_credentials is None and settings.gcs_token_file is not None:
        from onnxlet.storage.credentials import TokenFile  # only functions on the user's machine have a token file

        return TokenFile(settings.gcs_token_file)
    return settings.gcs_credentials


def _join(prefix: str, key: str) -> str:
    return f"{prefix}/{key}" if prefix else key


def _trusted(settings: StorageSettings) -> dict[str, bytes]:
    """Return obstore's option for the operator's certificate authority.

    Raises:
        SettingsError: the file cannot be read, or has no certificates.
    """
    if settings.ca_bundle is None:
        return {}
    try:
        with open(settings.ca_bundle, "rb") as file:
            certificates = file.read()
        if b"-----BEGIN CERTIFICATE-----" not in certificates:
            raise SettingsError(f"AWS_CA_BUNDLE: {settings.ca_bundle}: expected certificates in PEM form, got none")
    except OSError as error:
        raise SettingsError(f"AWS_CA_BUNDLE: {settings.ca_bundle}: {error.strerror}") from error
    return {"root_certificate": certificates}
