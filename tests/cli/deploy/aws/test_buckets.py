import json
import uuid
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from onnxlet_cli.deploy.aws import buckets
from onnxlet_cli.errors import ServiceError
from onnxlet_publishing.errors import AccountError, UsageError

REGION = "us-east-1"


@pytest.fixture
def client(s3_endpoint: str) -> Any:
    return boto3.client("s3", endpoint_url=s3_endpoint, region_name=REGION)


@pytest.fixture
def bucket(client: Any) -> str:
    name = f"theirs-{uuid.uuid4()}"
    client.create_bucket(Bucket=name)
    return name


def test_a_bucket_that_can_be_used_is(client: Any, bucket: str) -> None:
    buckets.check(client, {"RegistryBucket": bucket, "InputBucket": "", "ResultsBucket": bucket}, REGION, "")


def test_a_bucket_that_is_not_there_is_refused(client: Any) -> None:
    with pytest.raises(UsageError, match="InputBucket=nowhere-at-all: there is no such bucket"):
        buckets.check(client, {"InputBucket": "nowhere-at-all"}, REGION, "")


def test_a_name_that_is_none_is_refused(client: Any) -> None:
    with pytest.raises(UsageError, match="InputBucket=s3://photos/in: expected the name of a bucket, without s3://"):
        buckets.check(client, {"InputBucket": "s3://photos/in"}, REGION, "")


def test_a_bucket_of_another_region_is_refused(client: Any, s3_endpoint: str) -> None:
    name = f"far-{uuid.uuid4()}"
    boto3.client("s3", endpoint_url=s3_endpoint, region_name="eu-central-1").create_bucket(
        Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
    )
    with pytest.raises(UsageError, match="expected a bucket in us-east-1, the stack's region, got one in eu-central-1"):
        buckets.check(client, {"RegistryBucket": name}, REGION, "")


def test_a_bucket_of_somebody_else_is_refused() -> None:
    client = boto3.client("s3", region_name=REGION)
    with Stubber(client) as stubber:
        stubber.add_client_error("head_bucket", "403", "Forbidden")
        with pytest.raises(AccountError, match="ResultsBucket=theirs: these credentials may not read it"):
            buckets.check(client, {"ResultsBucket": "theirs"}, REGION, "")


def test_a_buckets_key_must_be_the_stacks(client: Any, bucket: str) -> None:
    key = "arn:aws:kms:us-east-1:123456789012:key/1-2"
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}}
    client.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})
    buckets.check(client, {"InputBucket": bucket}, REGION, key)
    with pytest.raises(UsageError, match=f"it is encrypted with {key}.*--set KmsKeyArn={key}"):
        buckets.check(client, {"InputBucket": bucket}, REGION, "")


def test_all_versions_under_a_prefix_go_and_no_other_object(client: Any, bucket: str, s3_endpoint: str) -> None:
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    for key in ("ours/a", "ours/a", "ours/b", "ours-too"):
        client.put_object(Bucket=bucket, Key=key)
    buckets.remove(boto3.resource("s3", endpoint_url=s3_endpoint, region_name=REGION).Bucket(bucket), "ours/")
    assert [item["Key"] for item in client.list_object_versions(Bucket=bucket)["Versions"]] == ["ours-too"]


def test_an_object_that_s3_leaves_is_an_error_though_the_request_is_none(
    client: Any, bucket: str, s3_endpoint: str
) -> None:
    client.put_object(Bucket=bucket, Key="ours/a")
    place = f"arn:aws:s3:::{bucket}/*"
    statement = {"Effect": "Deny", "Principal": "*", "Action": "s3:DeleteObject", "Resource": place}
    client.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    with pytest.raises(ServiceError, match=f"s3://{bucket}/ours/a: S3 does not delete it: Access Denied \\(1 left\\)"):
        buckets.remove(boto3.resource("s3", endpoint_url=s3_endpoint, region_name=REGION).Bucket(bucket), "ours/")
