"""Existing buckets: whether a stack can use them, and the removal of their objects."""

import re
from collections.abc import Mapping
from typing import Any

import botocore.exceptions

from onnxlet_cli.deploy.aws.api_errors import aws_errors
from onnxlet_cli.errors import ServiceError
from onnxlet_publishing.errors import AccountError, CommandError, UsageError

PARAMETERS = ("RegistryBucket", "InputBucket", "ResultsBucket")

NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")

MISSING = ("404", "NoSuchBucket", "NotFound")
FORBIDDEN = ("403", "AccessDenied", "Forbidden")


def check(client: Any, names: Mapping[str, str], region: str, key: str) -> None:
    """Check that a stack can use the buckets that replace its own.

    Args:
        client: S3's client.
        names: The buckets' names by the parameters that name them; an empty name means the stack's own bucket.
        region: The stack's region.
        key: The ARN of the KMS key that the functions may use, or an empty text.

    Raises:
        UsageError: a bucket does not exist, is in another region, or is encrypted with another key.
        AccountError: the credentials have no access to a bucket.
    """
    for parameter in PARAMETERS:
        bucket = names.get(parameter)
        if bucket:
            _check_region(client, parameter, bucket, region)
            _check_key(client, parameter, bucket, key)


def remove(bucket: Any, prefix: str) -> None:
    """Delete all objects under a prefix of a bucket, a resource of boto3, with all their versions.

    Raises:
        AccountError, ServiceError: S3 refuses, or leaves some objects, for which boto3 raises no error.
    """
    with aws_errors(f"s3://{bucket.name}/{prefix}"):
        responses = bucket.object_versions.filter(Prefix=prefix).delete()
    failures = [failure for response in responses for failure in response.get("Errors", [])]
    if failures:
        raise ServiceError(
            f"s3://{bucket.name}/{failures[0]['Key']}: S3 does not delete it: {failures[0].get('Message', '')} "
            f"({len(failures)} left)"
        )


def _check_region(client: Any, parameter: str, bucket: str, region: str) -> None:
    if not NAME.fullmatch(bucket):
        raise UsageError(f"{parameter}={bucket}: expected the name of a bucket, without s3://")
    with aws_errors(f"s3://{bucket}"):
        try:
            response = client.head_bucket(Bucket=bucket)
        except botocore.exceptions.ClientError as error:
            raise _explain(error, parameter, bucket) from error
    bucket_region = response.get("BucketRegion", region)
    if bucket_region != region:
        raise UsageError(
            f"{parameter}={bucket}: expected a bucket in {region}, the stack's region, got one in {bucket_region}: S3 "
            "announces objects only to queues of its region, and the functions read one region"
        )


def _explain(error: botocore.exceptions.ClientError, parameter: str, bucket: str) -> CommandError:
    code = error.response.get("Error", {}).get("Code", "")
    if code in MISSING:
        return UsageError(f"{parameter}={bucket}: there is no such bucket")
    if code in FORBIDDEN:
        return AccountError(
            f"{parameter}={bucket}: these credentials may not read it (s3:ListBucket): does this account own it?"
        )
    return ServiceError(f"s3://{bucket}: {error}")


def _check_key(client: Any, parameter: str, bucket: str, key: str) -> None:
    """Compare the bucket's key with the one that the functions may use; skip this if S3 does not say the key."""
    try:
        rules = client.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    except botocore.exceptions.ClientError:
        return
    keys = [rule.get("ApplyServerSideEncryptionByDefault", {}).get("KMSMasterKeyID") for rule in rules]
    for bucket_key in filter(None, keys):
        if "alias/" not in bucket_key and bucket_key.rpartition("/")[2] != key.rpartition("/")[2]:
            raise UsageError(
                f"{parameter}={bucket}: it is encrypted with {bucket_key}, which the functions may use only as the "
                f"stack's key: --set KmsKeyArn={bucket_key}"
            )
