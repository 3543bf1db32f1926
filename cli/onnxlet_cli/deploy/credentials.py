"""The credentials of AWS, resolved once: this command and AWS SAM's, its child, are one caller from first to last."""

import os
from collections.abc import Mapping
from typing import Any

import botocore.credentials
import botocore.session

from onnxlet.errors import CredentialsError
from onnxlet_cli.deploy.stack import aws_errors

LEAST_S = 15 * 60
"""What they must still be good for: a first deployment takes some ten minutes, and nothing renews them on its way."""

OTHERS = (
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_SECURITY_TOKEN",
    "AWS_CREDENTIAL_EXPIRATION",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
)
"""Variables by which a child could find other credentials, or take these for expired."""


def freeze() -> Any:
    """Return a session of botocore whose credentials are found once, with one prompt for MFA, and stay as they are.

    Raises:
        CredentialsError: there are none, they expire before a deployment could end, or nobody is there for the prompt.
    """
    with aws_errors("AWS"):
        session = botocore.session.get_session()
        found = session.get_credentials()
        if found is None:
            raise CredentialsError("no AWS credentials: run `aws configure` or `aws sso login`, or set AWS_PROFILE")
        frozen = _resolve(found)
    session.set_credentials(frozen.access_key, frozen.secret_key, frozen.token)
    return session


def to_environment(session: Any) -> dict[str, str | None]:
    """Return the variables of a child that shall be the same caller; None takes a variable out."""
    found = session.get_credentials()
    return {
        **dict.fromkeys(OTHERS),
        "AWS_ACCESS_KEY_ID": found.access_key,
        "AWS_SECRET_ACCESS_KEY": found.secret_key,
        "AWS_SESSION_TOKEN": found.token,
        **_profile_settings(session),
    }


def _resolve(found: Any) -> Any:
    try:
        frozen = found.get_frozen_credentials()
    except EOFError as error:
        raise CredentialsError(
            "the AWS profile asks for an MFA code, and nobody is there to type it: run the command in a terminal, or "
            "give it credentials of a session (`aws configure export-credentials --format env`)"
        ) from error
    except RuntimeError as error:  # botocore's, for what is expired once it is refreshed
        raise CredentialsError(f"the AWS credentials have expired: {error}; renew them") from error
    is_temporary = isinstance(found, botocore.credentials.RefreshableCredentials)
    if is_temporary and found.refresh_needed(LEAST_S):
        raise CredentialsError(
            f"the AWS credentials expire within {LEAST_S // 60} minutes, perhaps in the middle of a deployment: renew "
            "them (`aws sso login`, or a new session), then run the same command again"
        )
    return frozen


def _profile_settings(session: Any, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return what the profile says of the connection: a child without the profile must be told."""
    found = {
        "AWS_CA_BUNDLE": session.get_config_variable("ca_bundle"),
        "AWS_USE_FIPS_ENDPOINT": "true" if session.get_config_variable("use_fips_endpoint") else None,
        "AWS_USE_DUALSTACK_ENDPOINT": "true" if session.get_config_variable("use_dualstack_endpoint") else None,
    }
    return {name: str(value) for name, value in found.items() if value and name not in environ}
