import json
import uuid
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from onnxlet_cli.deploy.aws import notifications
from onnxlet_cli.errors import ServiceError
from onnxlet_publishing.errors import UsageError

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
    assert notifications.announce(client, bucket, QUEUE, "onnxlet-shop")
    assert announced(client, bucket) == [("other", OTHERS), ("onnxlet-shop", QUEUE)]
    found = client.get_bucket_notification_configuration(Bucket=bucket)
    (ours,) = [each for each in found["QueueConfigurations"] if each["Id"] == "onnxlet-shop"]
    assert ours["Events"] == ["s3:ObjectCreated:*"]
    assert [(each["Name"].lower(), each["Value"]) for each in ours["Filter"]["Key"]["FilterRules"]] == [
        ("prefix", "in/")
    ]
    assert not notifications.announce(client, bucket, QUEUE, "onnxlet-shop"), "a second time changes nothing"


def test_a_queue_that_was_made_again_takes_the_place_of_the_old_one(client: Any, bucket: str) -> None:
    notifications.announce(client, bucket, OTHERS, "onnxlet-shop")
    assert notifications.announce(client, bucket, QUEUE, "onnxlet-shop")
    assert announced(client, bucket) == [("onnxlet-shop", QUEUE)]


def test_the_stacks_own_notification_of_a_bucket_that_it_made_is_replaced(client: Any, bucket: str) -> None:
    """S3 refuses two notifications of the same objects, even to one queue; moto takes them."""
    notifications.announce(client, bucket, QUEUE, "whatever CloudFormation called it")
    assert notifications.announce(client, bucket, QUEUE, "onnxlet-shop")
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
    ours = {"Id": "onnxlet-shop", "QueueArn": OTHERS, "Events": notifications.EVENTS}
    found = {"LambdaFunctionConfigurations": [other], "QueueConfigurations": [ours, {**ours, "QueueArn": QUEUE}]}
    with Stubber(client) as stubber:
        stubber.add_response("get_bucket_notification_configuration", found)
        if is_free:
            notifications.check(client, "b", QUEUE, "onnxlet-shop")
        else:
            with pytest.raises(UsageError, match="InputBucket=b: it announces new objects under in/ to arn"):
                notifications.check(client, "b", QUEUE, "onnxlet-shop")


def test_just_the_queue_that_goes_is_taken_out(client: Any, bucket: str) -> None:
    configure(client, bucket)
    notifications.announce(client, bucket, QUEUE, "whatever the template calls it")
    assert notifications.silence(client, bucket, "shop-Queue")
    assert announced(client, bucket) == [("other", OTHERS)]
    assert not notifications.silence(client, bucket, "shop-Queue")


def test_all_else_that_is_announced_is_given_back_as_it_was() -> None:
    """moto does not keep EventBridge; S3 takes off whatever a request leaves out."""
    client = boto3.client("s3", region_name=REGION)
    rule = {"Name": "Prefix", "Value": "in/"}
    ours = {"Id": "n", "QueueArn": QUEUE, "Events": notifications.EVENTS, "Filter": {"Key": {"FilterRules": [rule]}}}
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
        assert notifications.silence(client, "b", "shop-Queue")
        stubber.add_response("get_bucket_notification_configuration", {**kept, "QueueConfigurations": [ours]})
        assert not notifications.announce(client, "b", QUEUE, "n"), "S3 writes a rule's name with a capital"


def test_what_s3_refuses_is_said() -> None:
    client = boto3.client("s3", region_name=REGION)
    with Stubber(client) as stubber:
        stubber.add_response("get_bucket_notification_configuration", {})
        stubber.add_client_error("put_bucket_notification_configuration", "InvalidArgument", "Configurations overlap")
        with pytest.raises(ServiceError, match="the notifications of s3://theirs: Configurations overlap"):
            notifications.announce(client, "theirs", QUEUE, "n")


def test_the_events_are_those_of_the_template() -> None:
    from tests.helpers.template_stack import stack

    (queue,) = stack().of_type("AWS::S3::Bucket")["Inputs"]["NotificationConfiguration"]["QueueConfigurations"]
    assert [queue["Event"]] == notifications.EVENTS
    assert json.dumps(queue["Filter"]) == json.dumps(
        {"S3Key": {"Rules": [{"Name": "prefix", "Value": notifications.PREFIX}]}}
    )
