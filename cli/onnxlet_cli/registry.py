"""The registry that a command works on, reached with the user's own credentials."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from onnxlet.contract.document import MAX_REPAIR_BYTES
from onnxlet.errors import CredentialsError
from onnxlet.record import replace
from onnxlet.registry.registry import Registry
from onnxlet.settings import storage_from_environment
from onnxlet.storage import SCHEMES, Store, open_store
from onnxlet.storage.connection import StorageSettings
from onnxlet_publishing.google_identity import storage_of

DEFAULT_FOLDER = Path(".onnxlet/registry")

UNCONDITIONAL = "ONNXLET_ALLOW_UNCONDITIONAL_WRITES"
"""The variable that allows a store which ignores the conditions of writes."""


def open_registry(url: str | None, *, create: bool = False) -> Registry:
    """Open the registry at `url`, which may be a plain folder; by default the one in `.onnxlet/registry`.

    Args:
        url: The root URL or a folder; None takes the default.
        create: Make a folder that is missing. The default one is always made.

    Raises:
        InvalidNameError, BucketNotFoundError: The URL leads nowhere.
        CredentialsError: An `s3://` registry needs AWS credentials.
    """
    return to_registry(open_place(url or str(DEFAULT_FOLDER), create=create or url is None))


def only_model(registry: Registry) -> str | None:
    """Return the registry's only model; None if there are several or none."""
    names = registry.models()
    return names[0] if len(names) == 1 else None


def to_registry(store: Store) -> Registry:
    """Return the registry of a store with the larger limits of the command, which can repair documents."""
    allows_any = os.environ.get(UNCONDITIONAL) == "1"
    return Registry(store, largest_alias_bytes=MAX_REPAIR_BYTES, allows_unconditional_writes=allows_any)


def open_place(url: str, *, create: bool = False) -> Store:
    """Open any place in object storage, or a plain folder, with the user's own credentials; raises as above."""
    root = to_url(url)
    if root.startswith("s3://"):
        return open_s3(root)
    return open_store(root, storage_of(root), create=create)


def to_url(text: str) -> str:
    """Return a root URL from a root URL or the path of a folder."""
    return text if text.startswith(SCHEMES) or "://" in text else Path(text).absolute().as_uri()


def open_s3(url: str, region: str | None = None, session: Any = None) -> Store:
    """Open a place in S3 as the AWS command line would: by profiles and single sign-on, too, which obstore cannot read.

    Args:
        url: The root URL.
        region: The region, in place of that of the environment or the profile.
        session: A session of botocore; None takes a new one.

    Raises:
        CredentialsError: there are no credentials, or no such profile.
        InvalidNameError: The URL leads nowhere.
    """
    import botocore.session
    from obstore.auth.boto3 import Boto3CredentialProvider

    session = session or botocore.session.get_session()
    with _aws_errors(url):
        settings = storage_of_profile(session)
        provider = Boto3CredentialProvider(session)
    return open_store(url, replace(settings, s3_region=region or settings.s3_region), credential_provider=provider)


def storage_variables(url: str) -> dict[str, str]:
    """Return the environment in which another machine reaches the store of `url` as this one does.

    Credentials and files of certificates are not in it: the other machine has its own.

    Raises:
        CredentialsError: there is no such profile.
    """
    found = {UNCONDITIONAL: os.environ.get(UNCONDITIONAL)}
    if url.startswith("s3://"):
        import botocore.session

        with _aws_errors(url):
            settings = storage_of_profile(botocore.session.get_session())
        found |= {
            "AWS_REGION": settings.s3_region,
            "AWS_DEFAULT_REGION": settings.s3_region,
            "AWS_ENDPOINT_URL_S3": settings.s3_endpoint,
            "AWS_USE_FIPS_ENDPOINT": "true" if settings.has_fips else None,
            "AWS_USE_DUALSTACK_ENDPOINT": "true" if settings.has_dual_stack else None,
        }
    else:
        storage = storage_from_environment(os.environ)
        found |= {"STORAGE_EMULATOR_HOST": storage.gcs_endpoint, "GOOGLE_BASE_URL": storage.gcs_base_url}
    return {name: value for name, value in found.items() if value}


@contextmanager
def _aws_errors(url: str) -> Iterator[None]:
    import botocore.exceptions

    try:
        yield
    except (ValueError, botocore.exceptions.BotoCoreError) as error:
        raise CredentialsError(
            f"{url}: no AWS credentials; run `aws configure`, or set AWS_PROFILE ({error})"
        ) from error


def storage_of_profile(session: Any) -> StorageSettings:
    """Return the storage settings of the environment, completed by the profile of the AWS command line.

    Args:
        session: A session of botocore.

    Source: AWS SDKs reference, "Service-specific endpoints", "Dual-stack and FIPS endpoints".
    """
    from botocore.configprovider import ConfiguredEndpointProvider

    found = storage_from_environment(os.environ)
    endpoint = found.s3_endpoint
    if endpoint is None and not session.get_config_variable("ignore_configured_endpoint_urls"):
        profile = session.get_scoped_config()
        endpoint = ConfiguredEndpointProvider(session.full_config, profile, "s3", environ={}).provide()
    return replace(
        found,
        s3_endpoint=endpoint,
        s3_region=found.s3_region or session.get_config_variable("region"),
        has_fips=bool(session.get_config_variable("use_fips_endpoint")),
        has_dual_stack=bool(session.get_config_variable("use_dualstack_endpoint")),
        ca_bundle=session.get_config_variable("ca_bundle"),
    )
