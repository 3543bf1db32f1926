"""The AWS credentials, resolved once, so that this command and SAM use the same ones to the end."""

import os
from collections.abc import Mapping
from typing import Any

import botocore.credentials
import botocore.session

from onnxlet_cli.deploy.aws.api_errors import aws_errors
from onnxlet_publishing.errors import AccountError

LEAST_S = 15 * 60
"""The time that the credentials must stay valid: a first deployment takes some ten minutes, and nothing renews them."""

OTHERS = (
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_SECURITY_TOKEN",
    "AWS_CREDENTIAL_EXPIRATION",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
)
"""Variables that could make a child process find other credentials, or take these for expired."""


def freeze() -> Any:
    """Return a session of botocore with fixed credentials, which are resolved once, with one prompt for MFA.

    Raises:
        AccountError: there are no credentials, they expire too soon, or the prompt for MFA has no terminal.
    """
    with aws_errors("AWS"):
        session = botocore.session.get_session()
        found = session.get_credentials()
        if found is None:
            raise AccountError("no AWS credentials: run `aws configure` or `aws sso login`, or set AWS_PROFILE")
        frozen = _resolve(found)
    session.set_credentials(frozen.access_key, frozen.secret_key, frozen.token)
    return session


def to_environment(session: Any) -> dict[str, str | None]:
    """Return the variables that give a child process the same credentials; None removes a variable."""
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
        raise AccountError(
            "the AWS profile asks for an MFA code, and there is no terminal to type it: run the command in a "
            "terminal, or give it the credentials of a session (`aws configure export-credentials --format env`)"
        ) from error
    except RuntimeError as error:  # botocore raises it for credentials that are expired after their renewal
        raise AccountError(f"the AWS credentials have expired: {error}; renew them") from error
    is_temporary = isinstance(found, botocore.credentials.RefreshableCredentials)
    if is_temporary and found.refresh_needed(LEAST_S):
        raise AccountError(
            f"the AWS credentials expire within {LEAST_S // 60} minutes, perhaps in the middle of a deployment: renew "
            "them (`aws sso login`, or a new session), then run the same command again"
        )
    return frozen


def _profile_settings(session: Any, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the profile's settings of the connection as variables, for a child process without the profile."""
    found = {
        "AWS_CA_BUNDLE": session.get_config_variable("ca_bundle"),
        "AWS_USE_FIPS_ENDPOINT": "true" if session.get_config_variable("use_fips_endpoint") else None,
        "AWS_USE_DUALSTACK_ENDPOINT": "true" if session.get_config_variable("use_dualstack_endpoint") else None,
    }
    return {name: str(value) for name, value in found.items() if value and name not in environ}
