"""Every form of event, from its sample payload, through the clouds' real runtimes to a result that can be read."""

import http.client
import io
import json
import random
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from PIL import Image

from onnxlet.errors import ObjectNotFoundError
from onnxlet.registry.registry import Registry
from onnxlet.storage import Store, open_store
from onnxlet.storage.connection import StorageSettings
from onnxlet_cli.local.cloud_function import serve_cloud_function
from onnxlet_publishing.publish import publish
from tests.helpers import graphs
from tests.helpers.fake_gcs import FakeGcs
from tests.helpers.lambda_runtimes import Function, Start

EVENTS = Path(__file__).parent / "events"
INPUT, KEY = "onnxlet-input", "in/a photo of 100% café+1.png"
SAMPLE_VERSION = "096fKKXTRTtl3on89fVO.nfljtsv6qko"
SAMPLE_GENERATION = "1768213230123456"


def png(shade: int = 90) -> bytes:
    file = io.BytesIO()
    Image.new("L", (28, 28), shade).save(file, "PNG")
    return file.getvalue()


def read_results(results: Store, prefix: str = "") -> list[dict[str, Any]]:
    return [json.loads(results.read(key).data) for key in sorted(results.keys(prefix))]


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> str:
    url = (tmp_path_factory.mktemp("events") / "registry").as_uri()
    publish(Registry(open_store(url, create=True)), graphs.digits_candidate())
    return url


# ---------------------------------------------------------------------- AWS


@dataclass
class Aws:
    """A bucket that keeps versions, and the function that answers its objects."""

    s3: Any
    function: Function
    results: Store

    def put(self, key: str, data: bytes) -> str:
        version: str = self.s3.put_object(Bucket=INPUT, Key=key, Body=data)["VersionId"]
        return version

    def forget_results(self) -> None:
        for item in self.s3.list_objects_v2(Bucket="onnxlet-results").get("Contents", []):
            self.s3.delete_object(Bucket="onnxlet-results", Key=item["Key"])


@pytest.fixture(scope="module")
def aws(
    start_function: Start, registry: str, s3_endpoint: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Aws]:
    s3 = boto3.client("s3", endpoint_url=s3_endpoint, region_name="us-east-1")
    for bucket in (INPUT, "onnxlet-results"):
        s3.create_bucket(Bucket=bucket)
    s3.put_bucket_versioning(Bucket=INPUT, VersioningConfiguration={"Status": "Enabled"})
    environment = {
        "ONNXLET_REGISTRY": registry,
        "ONNXLET_MODEL": "digits",
        "ONNXLET_RESULTS": "s3://onnxlet-results",
        "AWS_ENDPOINT_URL": s3_endpoint,
    }
    results = open_store("s3://onnxlet-results", StorageSettings(s3_endpoint))
    log = (tmp_path_factory.mktemp("aws") / "log").open("wb")
    with log, start_function("main.aws_objects", environment, log) as function:
        yield Aws(s3, function, results)


def sample(name: str, **replaced: str) -> Any:
    text = (EVENTS / f"{name}.json").read_text()
    for old, new in replaced.items():
        text = text.replace({"version": SAMPLE_VERSION, "generation": SAMPLE_GENERATION}[old], new)
    return json.loads(text)


@pytest.mark.parametrize(
    "name",
    [
        "aws_pipes_sqs",
        "aws_s3_cloudtrail",
        "aws_s3_detail",
        "aws_s3_eventbridge",
        "aws_s3_put",
        "aws_s3_transformed",
        "aws_sns_s3",
        "aws_sqs_eventbridge",
        "aws_sqs_s3",
        "aws_sqs_sns_s3",
    ],
)
def test_an_aws_event_of_every_form_gets_its_result(aws: Aws, name: str) -> None:
    aws.forget_results()
    version = aws.put(KEY, png())
    assert aws.function.invoke(sample(name, version=version)) == {"batchItemFailures": []}
    (result,) = read_results(aws.results)
    assert result["source"] == f"s3://{INPUT}/{KEY}"
    assert result["identity"]["version"] == version
    assert (result["model"], result["version"]) == ("digits", 1)
    assert result["predictions"][0]["label"] in set("0123456789")


@pytest.mark.parametrize("name", ["aws_s3_batch_1", "aws_s3_batch_2"])
def test_a_job_of_s3_batch_operations_is_told_what_became_of_its_tasks(aws: Aws, name: str) -> None:
    aws.forget_results()
    event = sample(name, version=aws.put(KEY, png()))
    (task,) = event["tasks"]
    aws.put("in/no image.png", b"poison")
    event["tasks"] = [task, {**task, "taskId": "b", "s3Key": "in/no+image.png", "s3VersionId": None}, {"taskId": "c"}]
    answer = aws.function.invoke(event)
    assert answer["invocationId"] == event["invocationId"]
    codes = [(result["taskId"], result["resultCode"]) for result in answer["results"]]
    assert codes == [(task["taskId"], "Succeeded"), ("b", "PermanentFailure"), ("c", "PermanentFailure")]
    assert answer["results"][0]["resultString"].startswith("s3://onnxlet-results/")
    assert len(read_results(aws.results)) == 2


def test_of_a_batch_only_what_cannot_be_read_is_told_to_the_queue(aws: Aws) -> None:
    aws.forget_results()
    version = aws.put(KEY, png())
    answer = aws.function.invoke(sample("aws_sqs_mixed", version=version))
    failed = [failure["itemIdentifier"][-1] for failure in answer["batchItemFailures"]]
    assert failed == ["5", "7"]
    assert len(read_results(aws.results)) == 1


def test_s3s_test_event_is_swallowed(aws: Aws) -> None:
    aws.forget_results()
    assert aws.function.invoke(sample("aws_s3_test_event")) == {"batchItemFailures": []}
    assert read_results(aws.results) == []


def test_a_duplicate_storm_leaves_one_result_for_each_object_version(aws: Aws) -> None:
    """Every event three times, out of order, in overlapping batches; among them poison, which blocks nothing."""
    aws.forget_results()
    objects = []
    for number in range(20):
        data = b"poison" if number % 7 == 3 else png(number)
        objects += [(f"storm/{number}.png", aws.put(f"storm/{number}.png", data)) for _ in range(2)]  # two versions
    records = [message(number, key, version) for number, (key, version) in enumerate(objects * 3)]
    random.Random(0).shuffle(records)
    for start in range(0, len(records), 7):
        assert aws.function.invoke({"Records": records[start : start + 10]}) == {"batchItemFailures": []}
    found = read_results(aws.results)
    identities = [(result["source"], result["identity"]["version"]) for result in found]
    assert sorted(identities) == sorted((f"s3://{INPUT}/{key}", version) for key, version in objects)
    assert sum(result.get("code") == "unreadable_payload" for result in found) == 6
    assert sum("predictions" in result for result in found) == 34


def message(number: int, key: str, version: str) -> dict[str, Any]:
    record = sample("aws_s3_put")["Records"][0]
    record["s3"]["object"] |= {"key": key, "versionId": version}
    return {"messageId": str(number), "eventSource": "aws:sqs", "body": json.dumps({"Records": [record]})}


# ---------------------------------------------------------------------- GCP


@dataclass
class Gcp:
    """A bucket, and the functions that answer its objects and messages."""

    bucket: Store
    results: Store
    urls: dict[str, str]

    def send(self, function: str, headers: dict[str, str], body: bytes, path: str = "/") -> int:
        connection = http.client.HTTPConnection(urlsplit(self.urls[function]).netloc, timeout=60)
        connection.request("POST", path, body, headers)
        status = connection.getresponse().status
        connection.close()
        return status


@pytest.fixture(scope="module")
def gcp(registry: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gcp]:
    fake = FakeGcs(INPUT, "onnxlet-results")
    with fake.serving() as endpoint, (tmp_path_factory.mktemp("gcp") / "log").open("wb") as log:
        environment = {
            "ONNXLET_REGISTRY": registry,
            "ONNXLET_MODEL": "digits",
            "ONNXLET_RESULTS": "gs://onnxlet-results",
            "STORAGE_EMULATOR_HOST": endpoint,
        }
        storage = StorageSettings(gcs_endpoint=endpoint)
        bucket, results = (open_store(f"gs://{name}", storage) for name in (INPUT, "onnxlet-results"))
        with (
            serve_cloud_function("gcp_objects", environment, log=log) as objects,
            serve_cloud_function("gcp_message", environment, log=log) as messages,
        ):
            yield Gcp(bucket, results, {"gcp_objects": objects, "gcp_message": messages})


def binary_mode(event: dict[str, Any]) -> tuple[dict[str, str], bytes]:
    attributes = {f"ce-{name}": value for name, value in event.items() if name not in {"data", "datacontenttype"}}
    attributes["ce-subject"] = "objects/x"  # headers are ASCII
    return {**attributes, "content-type": "application/json"}, json.dumps(event["data"]).encode()


def structured_mode(event: dict[str, Any]) -> tuple[dict[str, str], bytes]:
    return {"content-type": "application/cloudevents+json"}, json.dumps(event).encode()


def push_mode(event: dict[str, Any]) -> tuple[dict[str, str], bytes]:
    """What a push subscription of Pub/Sub sends: no CloudEvent at all, until functions-framework makes it one."""
    return {"content-type": "application/json"}, json.dumps(event["data"]).encode()


@pytest.mark.parametrize(
    ("function", "name", "mode"),
    [
        ("gcp_objects", "gcp_storage_finalized", binary_mode),
        ("gcp_objects", "gcp_storage_finalized", structured_mode),
        ("gcp_message", "gcp_pubsub_storage", binary_mode),
        ("gcp_message", "gcp_pubsub_storage", structured_mode),
        ("gcp_message", "gcp_pubsub_storage", push_mode),
    ],
)
def test_a_gcp_event_of_every_form_gets_its_result(gcp: Gcp, function: str, name: str, mode: Any) -> None:
    known = set(gcp.results.keys(""))
    try:
        revision = gcp.bucket.read(KEY).revision
    except ObjectNotFoundError:  # the first form
        revision = None
    gcp.bucket.replace(KEY, png(len(known)), revision)
    generation = gcp.bucket.read(KEY).revision.version or ""
    for _ in range(2):  # delivered twice
        assert gcp.send(function, *mode(sample(name, generation=generation))) in {200, 204}
    (new,) = set(gcp.results.keys("")) - known
    result = json.loads(gcp.results.read(new).data)
    assert result["source"] == f"gs://{INPUT}/{KEY}"
    assert result["identity"]["version"] == generation
    assert result["predictions"][0]["label"] in set("0123456789")


@pytest.mark.parametrize(
    ("data", "attributes", "expected"),
    [
        (png(), {}, "predictions"),
        (png(), {"content-type": "image/png"}, "predictions"),
        (json.dumps({"b64": b64encode(png()).decode()}).encode(), {}, "predictions"),
        (json.dumps({"image_path": "gs://elsewhere/cat.png"}).encode(), {}, "forbidden"),
        (b"what is this?", {}, "unsupported_media"),
        (b"", {}, "invalid_request"),
    ],
)
def test_a_message_may_be_a_payload_itself(gcp: Gcp, data: bytes, attributes: dict[str, str], expected: str) -> None:
    known = set(gcp.results.keys(""))
    event = sample("gcp_pubsub_storage")
    message_id = str(random.Random(repr((data, attributes))).getrandbits(50))
    event["data"]["message"] |= {
        "data": b64encode(data).decode(),
        "attributes": attributes,
        "messageId": message_id,
    }
    for _ in range(2):
        assert gcp.send("gcp_message", *structured_mode(event)) in {200, 204}
    (new,) = set(gcp.results.keys("")) - known
    result = json.loads(gcp.results.read(new).data)
    assert result["source"].endswith(f"/messages/{message_id}")
    assert expected in result or result["code"] == expected


EVENTARC = {
    "gcp_objects": ("gcp_storage_finalized", binary_mode),
    "gcp_message": ("gcp_pubsub_storage", binary_mode),
}


@pytest.mark.parametrize("signature_type", [None, "http", "event", "cloudevent"])
def test_every_function_is_called_as_it_must_be_whatever_the_deployment_says(
    registry: str, signature_type: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which of these Google's API sets for a function with a trigger is documented in two ways; all must work."""
    monkeypatch.delenv("FUNCTION_SIGNATURE_TYPE", raising=False)
    told = {} if signature_type is None else {"FUNCTION_SIGNATURE_TYPE": signature_type}
    fake = FakeGcs(INPUT, "onnxlet-results")
    with fake.serving() as endpoint, (tmp_path / "log").open("wb") as log:
        environment = {
            "ONNXLET_REGISTRY": registry,
            "ONNXLET_MODEL": "digits",
            "ONNXLET_RESULTS": "gs://onnxlet-results",
            "STORAGE_EMULATOR_HOST": endpoint,
            "LOG_EXECUTION_ID": "true",  # as Cloud Functions sets it
            **told,
        }
        storage = StorageSettings(gcs_endpoint=endpoint)
        bucket, results = (open_store(f"gs://{name}", storage) for name in (INPUT, "onnxlet-results"))
        with ExitStack() as stack:
            names = ("gcp_http", "gcp_objects", "gcp_message")
            urls = {name: stack.enter_context(serve_cloud_function(name, environment, log=log)) for name in names}
            gcp = Gcp(bucket, results, urls)
            assert gcp.send("gcp_http", {"content-type": "image/png"}, png(), "/predict") == 200
            revision = None
            for number, function in enumerate(("gcp_objects", "gcp_message")):
                for name, mode in (EVENTARC[function], ("gcp_pubsub_storage", push_mode)):
                    bucket.replace(KEY, png(number), revision)  # each event is of a generation of its own
                    revision = bucket.read(KEY).revision
                    event = sample(name, generation=revision.version or "")
                    assert gcp.send(function, *mode(event)) == 200, (function, name)
        found = read_results(results)
    assert len(found) == 4
    assert all(result["predictions"][0]["label"] in set("0123456789") for result in found)


# ---------------------------------------------------------------------- HTTP forms of AWS


@pytest.fixture(scope="module")
def aws_http(start_function: Start, registry: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Function]:
    environment = {"ONNXLET_REGISTRY": registry, "ONNXLET_MODEL": "digits"}
    log = (tmp_path_factory.mktemp("http") / "log").open("wb")
    with log, start_function("main.aws_http", environment, log) as function:
        yield function


@pytest.mark.parametrize(
    "name", ["aws_function_url", "aws_http_api_stage", "aws_rest_api", "aws_alb", "aws_alb_multi_value"]
)
def test_every_form_of_http_is_answered_in_its_own_form(aws_http: Function, name: str) -> None:
    event = json.loads((EVENTS / f"{name}.json").read_text().replace("@beta", "@live").replace("%40beta", "@live"))
    event["body"] = b64encode(png()).decode()
    answer = aws_http.invoke(event)
    assert (answer["statusCode"], answer["isBase64Encoded"]) == (200, False), answer
    assert len(json.loads(answer["body"])["predictions"][0]["top"]) == 3
    if name == "aws_alb_multi_value":
        assert answer["multiValueHeaders"]["content-type"] == ["application/json"]
        assert answer["multiValueHeaders"]["onnxlet-version"] == ["1"]
    else:
        assert answer["headers"]["onnxlet-version"] == "1"


def test_a_binary_answer_is_base64(aws_http: Function) -> None:
    event = json.loads((EVENTS / "aws_function_url.json").read_text())
    event |= {"rawPath": "/v2/models/digits/infer", "body": b64encode(bytes(28 * 28 * 4)).decode()}
    event["headers"] = {"inference-header-content-length": "0"}
    answer = aws_http.invoke(event)
    assert answer["isBase64Encoded"]
    body, split = b64decode(answer["body"]), int(answer["headers"]["inference-header-content-length"])
    assert json.loads(body[:split])["outputs"][0]["shape"] == [1, 10]
    assert len(body) - split == 40


@pytest.mark.parametrize(
    ("event", "field"),
    [
        ({"instances": [{"b64": b64encode(png()).decode()}]}, "predictions"),
        ({"model": "digits", "inputs": [[[[0.5]] * 28] * 28]}, "outputs"),
        (
            {"inputs": [{"name": "input", "datatype": "FP32", "shape": [1, 28, 28, 1], "data": [0.5] * 784}]},
            "outputs",
        ),
        ({"inputs": []}, "error"),
        ({"instances": 1, "model": "nope"}, "error"),
    ],
)
def test_a_direct_invocation_is_answered_with_the_document_alone(
    aws_http: Function, event: dict[str, Any], field: str
) -> None:
    answer = aws_http.invoke(event)
    assert field in answer
    assert "statusCode" not in answer
