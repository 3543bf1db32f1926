"""Texts and rows of tables through the clouds' real runtimes: objects in queues and batches, and messages."""

import http.client
import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest

from onnxlet.registry.registry import Registry
from onnxlet.storage import Store, open_store
from onnxlet.storage.connection import StorageSettings
from onnxlet_cli.local.cloud_function import serve_cloud_function
from tests.helpers import counting_models, task_models
from tests.helpers.fake_gcs import FakeGcs
from tests.helpers.lambda_runtimes import Function, Start
from tests.helpers.ungated import publish

EVENTS = Path(__file__).parent / "events"
INPUT, RESULTS = "onnxlet-task-input", "onnxlet-task-results"

Opened = Callable[[str, str], AbstractContextManager[Function]]


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> str:
    url = (tmp_path_factory.mktemp("tasks") / "registry").as_uri()
    zero_shot = task_models.text_candidate("zero-shot-classification")
    for candidate in (counting_models.texts(), counting_models.tables(), zero_shot):
        publish(Registry(open_store(url, create=True)), candidate)
    return url


@pytest.fixture(scope="module")
def s3(s3_endpoint: str) -> Any:
    client = boto3.client("s3", endpoint_url=s3_endpoint, region_name="us-east-1")
    for bucket in (INPUT, RESULTS):
        client.create_bucket(Bucket=bucket)
    return client


@pytest.fixture
def results(s3: Any, s3_endpoint: str) -> Store:
    for item in s3.list_objects_v2(Bucket=RESULTS).get("Contents", []):
        s3.delete_object(Bucket=RESULTS, Key=item["Key"])
    return open_store(f"s3://{RESULTS}", StorageSettings(s3_endpoint))


@pytest.fixture
def function(start_function: Start, registry: str, s3_endpoint: str, tmp_path: Path) -> Opened:
    @contextmanager
    def opened(handler: str, model: str) -> Iterator[Function]:
        environment = {
            "ONNXLET_REGISTRY": registry,
            "ONNXLET_MODEL": model,
            "ONNXLET_RESULTS": f"s3://{RESULTS}",
            "AWS_ENDPOINT_URL": s3_endpoint,
        }
        with (tmp_path / "log").open("wb") as log, start_function(handler, environment, log) as started:
            yield started

    return opened


def read(results: Store) -> dict[str, Any]:
    """The results by the name of their object."""
    found = [json.loads(results.read(key).data) for key in results.keys("")]
    return {result["source"].rpartition("/")[2]: result for result in found}


def test_messages_of_a_queue_about_texts_run_as_one_tensor(function: Opened, s3: Any, results: Store) -> None:
    names = {"a.txt": b"It is warm.", "b.json": b'["It is cold in Paris.", "a"]', "bad.txt": b"\xff\xfe\xfd"}
    records = []
    for number, (name, data) in enumerate(names.items()):
        s3.put_object(Bucket=INPUT, Key=name, Body=data)
        record = json.loads((EVENTS / "aws_s3_put.json").read_text())["Records"][0]
        record["s3"]["bucket"]["name"] = INPUT
        record["s3"]["object"] = {"key": name}
        message = json.dumps({"Records": [record]})
        wrapped = json.dumps({"Type": "Notification", "Message": message}) if number == 1 else message
        records.append({"messageId": str(number), "eventSource": "aws:sqs", "body": wrapped})
    with function("main.aws_objects", "texts") as started:
        assert started.invoke({"Records": records}) == {"batchItemFailures": []}
    found = read(results)
    assert found["bad.txt"]["code"] == "unreadable_payload"
    vectors = found["a.txt"]["predictions"] + found["b.json"]["predictions"]
    assert [vector[0] for vector in vectors] == [3, 3, 3], "three texts of two objects in one run"


def test_a_batch_of_a_distributed_map_runs_tables_as_one_tensor(function: Opened, s3: Any, results: Store) -> None:
    names = {"a.csv": b"a,b,c\n1,2,3\n4,5,6\n", "b.jsonl": b"[1, 2, 3]\n", "bad.csv": b"a,b\n1,2\n"}
    for name, data in names.items():
        s3.put_object(Bucket=INPUT, Key=name, Body=data)
    with function("main.aws_map", "tables") as started:
        counts = started.invoke({"Items": [{"Key": name} for name in names], "BatchInput": {"bucket": INPUT}})
    assert counts == {"objects": 3, "answered": 2, "refused": 1, "left_alone": 0}
    found = read(results)
    assert found["bad.csv"]["code"] == "invalid_tensor"
    rows = found["a.csv"]["predictions"] + found["b.jsonl"]["predictions"]
    assert rows == [[3, 3]] * 3, "three rows of three columns in one run"


def test_a_message_of_pub_sub_holds_a_text_with_its_parameters(registry: str, tmp_path: Path) -> None:
    document = {"instances": ["It is warm."], "parameters": {"candidate_labels": ["weather", "sports"]}}
    event = json.loads((EVENTS / "gcp_pubsub_payload.json").read_text())
    event["data"]["message"] |= {"data": b64encode(json.dumps(document).encode()).decode(), "attributes": {}}
    with FakeGcs(RESULTS).serving() as endpoint, (tmp_path / "log").open("wb") as log:
        environment = {
            "ONNXLET_REGISTRY": registry,
            "ONNXLET_MODEL": "zero-shot-classification",
            "ONNXLET_RESULTS": f"gs://{RESULTS}",
            "STORAGE_EMULATOR_HOST": endpoint,
        }
        with serve_cloud_function("gcp_message", environment, log=log) as url:
            connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
            headers = {"content-type": "application/cloudevents+json"}
            connection.request("POST", "/", json.dumps(event).encode(), headers)
            assert connection.getresponse().status in {200, 204}
            connection.close()
        results = open_store(f"gs://{RESULTS}", StorageSettings(gcs_endpoint=endpoint))
        (found,) = [json.loads(results.read(key).data) for key in results.keys("")]
    assert set(found["predictions"][0]["labels"]) == {"weather", "sports"}
