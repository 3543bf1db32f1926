"""The registry that a command works on, reached with the user's own credentials."""

import os
from pathlib import Path
from typing import Any

from onnxlet.config import storage_from_environment
from onnxlet.contract.document import MAX_REPAIR_BYTES
from onnxlet.errors import CredentialsError
from onnxlet.registry import Registry
from onnxlet.store import SCHEMES, Store, open_store

DEFAULT_FOLDER = Path(".onnxlet/registry")


def open_registry(url: str | None, *, create: bool = False) -> Registry:
    """Open the registry at `url`, which may be a plain folder; by default the one in `.onnxlet/registry`.

    Args:
        url: The root URL or a folder; None takes the default.
        create: Make a folder that is missing. The default one is always made.

    Raises:
        InvalidNameError, BucketNotFoundError: the URL leads nowhere.
        CredentialsError: an `s3://` registry, and no AWS credentials.
    """
    store = open_place(url or str(DEFAULT_FOLDER), create=create or url is None)
    return Registry(store, largest_alias_bytes=MAX_REPAIR_BYTES)


def open_place(url: str, *, create: bool = False) -> Store:
    """Open any place in object storage, or a plain folder, with the user's own credentials; raises as above."""
    root = to_url(url)
    provider = _aws_credentials(root) if root.startswith("s3://") else None
    return open_store(root, storage_from_environment(os.environ), create=create, credential_provider=provider)


def to_url(text: str) -> str:
    """A root URL, where `text` is one or the path of a folder."""
    return text if text.startswith(SCHEMES) or "://" in text else Path(text).absolute().as_uri()


def _aws_credentials(root: str) -> Any:
    """The credentials that the AWS command line would use: profiles and single sign-on too, which obstore cannot read.

    Raises:
        CredentialsError: there are none.
    """
    import botocore.exceptions
    from obstore.auth.boto3 import Boto3CredentialProvider

    try:
        return Boto3CredentialProvider()
    except (ValueError, botocore.exceptions.BotoCoreError) as error:
        raise CredentialsError(
            f"{root}: no AWS credentials; run `aws configure`, or set AWS_PROFILE ({error})"
        ) from error
