"""The errors of AWS's APIs as errors of the command."""

from collections.abc import Iterator
from contextlib import contextmanager

import botocore.exceptions

from onnxlet_cli.errors import DeploymentError, ServiceError
from onnxlet_publishing.errors import AccountError, CommandError, UsageError

REFUSED = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation")
UNKNOWN = ("InvalidClientTokenId", "SignatureDoesNotMatch", "UnrecognizedClientException", "AuthFailure")
EXPIRED = ("ExpiredToken", "ExpiredTokenException", "RequestExpired")


@contextmanager
def aws_errors(what: str) -> Iterator[None]:
    """Raise an error of the command for each error of AWS; `what` names the request."""
    try:
        yield
    except botocore.exceptions.ClientError as error:
        raise _translate(error, what) from error
    except botocore.exceptions.EndpointConnectionError as error:
        raise ServiceError(
            f"{what}: AWS does not answer: {error}; is the region right, and the network there?"
        ) from error
    except botocore.exceptions.NoRegionError as error:
        raise UsageError("no AWS region: give --region, or set AWS_REGION") from error
    except botocore.exceptions.WaiterError as error:
        raise DeploymentError(f"{what}: {error}") from error
    except botocore.exceptions.BotoCoreError as error:
        raise AccountError(
            f"no AWS credentials that work: {error}; run `aws configure` or `aws sso login`, or set AWS_PROFILE"
        ) from error


def _translate(error: botocore.exceptions.ClientError, what: str) -> CommandError:
    code = error.response.get("Error", {}).get("Code", "")
    text = error.response.get("Error", {}).get("Message", str(error))
    if code in EXPIRED:
        return AccountError(f"the AWS credentials have expired: {text}; run `aws sso login`, or renew them")
    if code in UNKNOWN:
        return AccountError(f"AWS does not know these credentials: {text}; run `aws configure`, or set AWS_PROFILE")
    if code in REFUSED:
        return AccountError(f"{what}: these credentials lack the permission: {text}")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return ServiceError(f"{what}: {text}", status=status)
