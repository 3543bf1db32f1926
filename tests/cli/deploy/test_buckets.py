import json
import uuid
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from onnxlet.errors import CredentialsError, InvalidRequestError, StoreError
from onnxlet_cli.deploy import buckets

REGION = "us-east-1"
QUEUE = "arn:aws:sqs:us-east-1:123456789012:shop-Queue"
OTHERS = "arn:aws:sqs:us-east-1:123456789012:theirs"


@pytest.fixture
def client(s3_endpoint: str) -> Any:
    """moto's S3, and its queues, which S3 looks for."""
    sqs = boto3.client("sqs", endpoint_url=s3_endpoint, region_name=REGION)
    for queue in (QUEUE, OTHERS):
        sqs.create_queue(QueueName=queue.rpartition(":")[2])
    return boto3.client("s3", endpoint_url=s3_endpoint, region_name=REGION)


@pytest.fixture
def bucket(client: Any) -> str:
    name = f"theirs-{uuid.uuid4()}"
    client.create_bucket(Bucket=name)
    return name


def announced(client: Any, bucket: str) -> list[tuple[str, str]]:
    found = client.get_bucket_notification_configuration(Bucket=bucket)
    return [(each["Id"], each["QueueArn"]) for each in found.get("QueueConfigurations", [])]


def configure(client: Any, bucket: str, prefix: str = "theirs/") -> None:
    """Somebody else's notification."""
    rule = {"Key": {"FilterRules": [{"Name": "prefix", "Value": prefix}]}}
    other = {"Id": "other", "QueueArn": OTHERS, "Events": ["s3:ObjectRemoved:*"], "Filter": rule}
    configuration = {"QueueConfigurations": [other], "EventBridgeConfiguration": {}}
    client.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=configuration)


def test_the_buckets_queue_is_added_to_what_is_announced_already(client: Any, bucket: str) -> None:
    configure(client, bucket)
    assert buckets.announce(client, bucket, QUEUE, "onnxlet-shop")
    assert announced(client, bucket) == [("other", OTHERS), ("onnxlet-shop", QUEUE)]
    found = client.get_bucket_notification_configuration(Bucket=bucket)
    (ours,) = [each for each in found["QueueConfigurations"] if each["Id"] == "onnxlet-shop"]
    assert ours["Events"] == ["s3:ObjectCreated:*"]
    assert [(each["Name"].lower(), each["Value"]) for each in ours["Filter"]["Key"]["FilterRules"]] == [
        ("prefix", "in/")
    ]
    assert not buckets.announce(client, bucket, QUEUE, "onnxlet-shop"), "a second time changes nothing"


def test_a_queue_that_was_made_again_takes_the_place_of_the_old_one(client: Any, bucket: str) -> None:
    buckets.announce(client, bucket, OTHERS, "onnxlet-shop")
    assert buckets.announce(client, bucket, QUEUE, "onnxlet-shop")
    assert announced(client, bucket) == [("onnxlet-shop", QUEUE)]


def test_the_stacks_own_notification_of_a_bucket_that_it_made_is_replaced(client: Any, bucket: str) -> None:
    """S3 refuses two notifications of the same objects, even to one queue; moto takes them."""
    buckets.announce(client, bucket, QUEUE, "whatever CloudFormation called it")
    assert buckets.announce(client, bucket, QUEUE, "onnxlet-shop")
    assert announced(client, bucket) == [("onnxlet-shop", QUEUE)]


@pytest.mark.parametrize(
    ("prefix", "event", "is_free"),
    [
        ("theirs/", "s3:ObjectCreated:*", True),
        ("in/", "s3:ObjectRemoved:*", True),
        ("", "s3:ObjectCreated:Put", False),
        ("i", "s3:ObjectCreated:*", False),
        ("in/photos/", "s3:ObjectCreated:*", False),
    ],
)
def test_a_bucket_that_tells_somebody_else_of_its_inputs_is_refused(prefix: str, event: str, is_free: bool) -> None:
    client = boto3.client("s3", region_name=REGION)
    rules = [{"Name": "Prefix", "Value": prefix}, {"Name": "Suffix", "Value": ".png"}]
    arn = "arn:aws:lambda:us-east-1:123456789012:function:theirs"
    other = {"Id": "other", "LambdaFunctionArn": arn, "Events": [event], "Filter": {"Key": {"FilterRules": rules}}}
    ours = {"Id": "onnxlet-shop", "QueueArn": OTHERS, "Events": buckets.EVENTS}
    found = {"LambdaFunctionConfigurations": [other], "QueueConfigurations": [ours, {**ours, "QueueArn": QUEUE}]}
    with Stubber(client) as stubber:
        stubber.add_response("get_bucket_notification_configuration", found)
        if is_free:
            buckets.check_announcing(client, "b", QUEUE, "onnxlet-shop")
        else:
            with pytest.raises(InvalidRequestError, match="InputBucket=b: it announces new objects under in/ to arn"):
                buckets.check_announcing(client, "b", QUEUE, "onnxlet-shop")


def test_just_the_queue_that_goes_is_taken_out(client: Any, bucket: str) -> None:
    configure(client, bucket)
    buckets.announce(client, bucket, QUEUE, "whatever the template calls it")
    assert buckets.silence(client, bucket, "shop-Queue")
    assert announced(client, bucket) == [("other", OTHERS)]
    assert not buckets.silence(client, bucket, "shop-Queue")


def test_all_else_that_is_announced_is_given_back_as_it_was() -> None:
    """moto does not keep EventBridge; S3 takes off whatever a request leaves out."""
    client = boto3.client("s3", region_name=REGION)
    rule = {"Name": "Prefix", "Value": "in/"}
    ours = {"Id": "n", "QueueArn": QUEUE, "Events": buckets.EVENTS, "Filter": {"Key": {"FilterRules": [rule]}}}
    topic = {"Id": "t", "TopicArn": "arn:aws:sns:us-east-1:123456789012:t", "Events": ["s3:ObjectRemoved:*"]}
    kept = {"EventBridgeConfiguration": {}, "TopicConfigurations": [topic]}
    with Stubber(client) as stubber:
        stubber.add_response("get_bucket_notification_configuration", {**kept, "QueueConfigurations": [ours]})
        stubber.add_response(
            "put_bucket_notification_configuration",
            {},
            {
                "Bucket": "b",
                "NotificationConfiguration": {**kept, "QueueConfigurations": []},
                "SkipDestinationValidation": True,
            },
        )
        assert buckets.silence(client, "b", "shop-Queue")
        stubber.add_response("get_bucket_notification_configuration", {**kept, "QueueConfigurations": [ours]})
        assert not buckets.announce(client, "b", QUEUE, "n"), "S3 writes a rule's name with a capital"


def test_what_s3_refuses_is_said() -> None:
    client = boto3.client("s3", region_name=REGION)
    with Stubber(client) as stubber:
        stubber.add_response("get_bucket_notification_configuration", {})
        stubber.add_client_error("put_bucket_notification_configuration", "InvalidArgument", "Configurations overlap")
        with pytest.raises(StoreError, match="the notifications of s3://theirs: Configurations overlap"):
            buckets.announce(client, "theirs", QUEUE, "n")


def test_a_bucket_that_can_be_used_is(client: Any, bucket: str) -> None:
    buckets.check(client, {"RegistryBucket": bucket, "InputBucket": "", "ResultsBucket": bucket}, REGION, "")


def test_a_bucket_that_is_not_there_is_refused(client: Any) -> None:
    with pytest.raises(InvalidRequestError, match="InputBucket=nowhere-at-all: there is no such bucket"):
        buckets.check(client, {"InputBucket": "nowhere-at-all"}, REGION, "")


def test_a_name_that_is_none_is_refused(client: Any) -> None:
    with pytest.raises(
        InvalidRequestError, match="InputBucket=s3://photos/in: expected the name of a bucket, without s3://"
    ):
        buckets.check(client, {"InputBucket": "s3://photos/in"}, REGION, "")


def test_a_bucket_of_another_region_is_refused(client: Any, s3_endpoint: str) -> None:
    name = f"far-{uuid.uuid4()}"
    boto3.client("s3", endpoint_url=s3_endpoint, region_name="eu-central-1").create_bucket(
        Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
    )
    with pytest.raises(InvalidRequestError, match="it lies in eu-central-1, and the stack in us-east-1"):
        buckets.check(client, {"RegistryBucket": name}, REGION, "")


def test_a_bucket_of_somebody_else_is_refused() -> None:
    client = boto3.client("s3", region_name=REGION)
    with Stubber(client) as stubber:
        stubber.add_client_error("head_bucket", "403", "Forbidden")
        with pytest.raises(CredentialsError, match="ResultsBucket=theirs: these credentials may not look at it"):
            buckets.check(client, {"ResultsBucket": "theirs"}, REGION, "")


def test_a_buckets_key_must_be_the_stacks(client: Any, bucket: str) -> None:
    key = "arn:aws:kms:us-east-1:123456789012:key/1-2"
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}}
    client.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})
    buckets.check(client, {"InputBucket": bucket}, REGION, key)
    with pytest.raises(InvalidRequestError, match=f"it is encrypted with {key}.*--set KmsKeyArn={key}"):
        buckets.check(client, {"InputBucket": bucket}, REGION, "")


def test_the_events_are_those_of_the_template() -> None:
    from tests.infra.test_template import stack

    (queue,) = stack().of_type("AWS::S3::Bucket")["Inputs"]["NotificationConfiguration"]["QueueConfigurations"]
    assert [queue["Event"]] == buckets.EVENTS
    assert json.dumps(queue["Filter"]) == json.dumps(
        {"S3Key": {"Rules": [{"Name": "prefix", "Value": buckets.PREFIX}]}}
    )


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
    with pytest.raises(StoreError, match=f"s3://{bucket}/ours/a: S3 does not delete it: Access Denied \\(1 left\\)"):
        buckets.remove(boto3.resource("s3", endpoint_url=s3_endpoint, region_name=REGION).Bucket(bucket), "ours/")
