from typing import Any

import botocore.exceptions
import pytest

from onnxlet_cli.deploy.aws.api_errors import aws_errors
from onnxlet_cli.errors import ServiceError
from onnxlet_publishing.errors import AccountError, UsageError


@pytest.mark.parametrize(
    ("code", "error", "text"),
    [
        ("ExpiredToken", AccountError, "expired"),
        ("InvalidClientTokenId", AccountError, "does not know these credentials"),
        ("AccessDenied", AccountError, "lack the permission"),
        ("LimitExceeded", ServiceError, "a step: LimitExceeded of AWS"),
    ],
)
def test_an_error_of_aws_is_one_of_ours(code: str, error: type[Exception], text: str) -> None:
    response: Any = {"Error": {"Code": code, "Message": f"{code} of AWS"}}
    with pytest.raises(error, match=text), aws_errors("a step"):
        raise botocore.exceptions.ClientError(response, "Operation")


@pytest.mark.parametrize(
    ("problem", "error", "text"),
    [
        (botocore.exceptions.NoCredentialsError(), AccountError, "run `aws configure`"),
        (botocore.exceptions.ProfileNotFound(profile="work"), AccountError, "work"),
        (botocore.exceptions.NoRegionError(), UsageError, "give --region"),
        (botocore.exceptions.EndpointConnectionError(endpoint_url="https://x"), ServiceError, "is the region right"),
    ],
)
def test_an_error_of_botocore_is_one_of_ours(problem: Exception, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text), aws_errors("a step"):
        raise problem
