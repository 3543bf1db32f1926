"""How a root URL is opened: which library's store, which endpoint, and whose certificates it trusts."""

import os
from typing import Any

import obstore.exceptions
from obstore.store import GCSStore, LocalStore, MemoryStore, S3Store

from onnxlet.errors import BucketNotFoundError, InvalidNameError, SettingsError, StoreError
from onnxlet.storage import urls
from onnxlet.storage.connection import StorageSettings
from onnxlet.storage.store import CLIENT, RETRY, Store, Stored

PARTITIONS = {
    "cn-": "amazonaws.com.cn",
    "eusc-": "amazonaws.eu",
    "us-iso-": "c2s.ic.gov",
    "us-isob-": "sc2s.sgov.gov",
    "us-isof-": "csp.hci.ic.gov",
    "eu-isoe-": "cloud.adc-e.uk",
}
"""The domains of AWS's partitions other than its own, by how their regions' names begin (botocore, partitions.json)."""

DEFAULT_REGION = "us-east-1"

_memory_stores: dict[str, MemoryStore] = {}


def open_store(
    url: str, settings: StorageSettings | None = None, *, create: bool = False, credential_provider: Any = None
) -> Store:
    """Open a root URL: `s3://bucket/prefix`, `gs://bucket/prefix`, `file:///folder` or `memory://name`.

    Args:
        url: The root.
        settings: How the clouds' stores are reached.
        create: Make the folder of a `file://` root where it is missing.
        credential_provider: For `s3://`, a callable as obstore takes it; by default the environment's credentials.

    Raises:
        InvalidNameError: not such a URL.
        BucketNotFoundError: the folder of a `file://` root is missing.
        SettingsError: the file of certificates cannot be read.
        StoreError: the folder of a `file://` root cannot be made.
    """
    settings = settings or StorageSettings()
    place = urls.parse(url)
    if place.startswith("file://"):
        return _open_files(place, create=create)
    try:
        if place.startswith("memory://"):
            return Store(place, _memory_stores.setdefault(place, MemoryStore()))
        if place.startswith("s3://"):
            return _open_s3(place, settings, credential_provider)
        return _open_gcs(place, settings)
    except (ValueError, obstore.exceptions.BaseError) as error:
        raise InvalidNameError(f"{url!r:.200}: {error}") from error


def s3_url(settings: StorageSettings, bucket: str) -> str:
    """Return the URL that the keys of a bucket are appended to."""
    endpoint = settings.s3_endpoint
    if endpoint is not None:
        return f"{endpoint.rstrip('/')}/{bucket}"
    region = settings.s3_region or DEFAULT_REGION
    domain = next((domain for prefix, domain in PARTITIONS.items() if region.startswith(prefix)), "amazonaws.com")
    service = f"{'s3-fips' if settings.has_fips else 's3'}{'.dualstack' if settings.has_dual_stack else ''}"
    host = f"{service}.{region}.{domain}"
    # AWS answers at its FIPS endpoints only where the bucket is a part of the host's name.
    return f"https://{bucket}.{host}" if settings.has_fips else f"https://{host}/{bucket}"


def _open_files(place: str, *, create: bool) -> Store:
    from onnxlet.storage.local_files import LocalFiles, make_folder  # deployed functions have no files

    path = urls.file_path(place)
    try:
        if create:
            make_folder(path)
        if not os.path.isdir(path):
            raise BucketNotFoundError(f"{place}: no such folder")
        return LocalFiles(place, LocalStore(path))
    except (OSError, ValueError, obstore.exceptions.BaseError) as error:
        raise StoreError(f"{place}: the folder cannot be used: {error}") from error


def _open_s3(place: str, settings: StorageSettings, credential_provider: Any) -> Store:
    if credential_provider is None and settings.container is not None:
        from onnxlet.storage.credentials import ContainerCredentialProvider  # only functions that start from a snapshot

        credential_provider = ContainerCredentialProvider(settings.container)
    _, bucket, prefix = urls.split(place)
    root = s3_url(settings, bucket)
    trusted = _trusted(settings)
    config: Any = {}
    if settings.s3_region:
        config["region"] = settings.s3_region
    if settings.s3_region or settings.s3_endpoint or settings.has_fips or settings.has_dual_stack:
        is_virtual = not root.endswith(f"/{bucket}")
        endpoint = root if is_virtual else root.removesuffix(f"/{bucket}")
        config |= {"aws_endpoint_url_s3": endpoint, "virtual_hosted_style_request": is_virtual}

    def open_backend(client: Any) -> S3Store:
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
        from onnxlet.storage import exact_read  # few keys need it

        region = settings.s3_region or DEFAULT_REGION
        request = exact_read.s3_request(root, _join(prefix, key), version, region, credential_provider)
        return exact_read.read(f"{place}/{key}", request, at_most, settings.ca_bundle)

    return Store(place, open_backend(CLIENT), open_backend, read_exactly)


def _open_gcs(place: str, settings: StorageSettings) -> Store:
    _, bucket, prefix = urls.split(place)
    base = settings.gcs_endpoint or settings.gcs_base_url or "https://storage.googleapis.com"
    root = f"{base.rstrip('/')}/{bucket}"
    config: Any = {"base_url": base} if settings.gcs_endpoint or settings.gcs_base_url else {}
    if settings.gcs_endpoint:
        config["service_account_key"] = (
            f'{{"gcs_base_url": "{settings.gcs_endpoint}", "disable_oauth": true, '
            '"client_email": "", "private_key": "", "private_key_id": ""}'
        )
    credentials = None if settings.gcs_endpoint else _gcs_credentials(settings)

    def open_backend(client: Any) -> GCSStore:
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
        from onnxlet.storage import exact_read  # few keys need it

        has_token = not settings.gcs_endpoint
        request = exact_read.gcs_request(root, _join(prefix, key), version, has_token=has_token, provider=credentials)
        return exact_read.read(f"{place}/{key}", request, at_most, None)

    return Store(place, open_backend(CLIENT), open_backend, read_exactly)


def _gcs_credentials(settings: StorageSettings) -> Any:
    """Return what gives a token where obstore shall not look for credentials itself; on Google's machines nothing."""
    if settings.gcs_credentials is None and settings.gcs_token_file is not None:
        from onnxlet.storage.credentials import TokenFile  # only functions on a machine of the user's

        return TokenFile(settings.gcs_token_file)
    return settings.gcs_credentials


def _join(prefix: str, key: str) -> str:
    return f"{prefix}/{key}" if prefix else key


def _trusted(settings: StorageSettings) -> dict[str, bytes]:
    """Return the option of obstore's connections for a certificate authority of the operator's own.

    Raises:
        SettingsError: its file cannot be read.
    """
    if settings.ca_bundle is None:
        return {}
    try:
        with open(settings.ca_bundle, "rb") as file:
            certificates = file.read()
        if b"-----BEGIN CERTIFICATE-----" not in certificates:
            raise SettingsError(f"AWS_CA_BUNDLE: {settings.ca_bundle}: No certificates in it, expected them as PEM")
    except OSError as error:
        raise SettingsError(f"AWS_CA_BUNDLE: {settings.ca_bundle}: {error.strerror}") from error
    return {"root_certificate": certificates}
