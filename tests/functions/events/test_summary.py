import json
import uuid
from typing import Any

import pytest

from onnxlet.errors import ConflictError, ManifestError, ObjectNotFoundError
from onnxlet.events import summary
from onnxlet.service import Service
from onnxlet.settings import Settings
from onnxlet.storage import CHUNK_BYTES, Store, open_store
from onnxlet.storage.connection import StorageSettings
from tests.conftest import BUCKET

OUTPUT = {"objects": 10, "answered": 7, "refused": 2, "left_alone": 1}


@pytest.fixture
def bucket(storage: StorageSettings) -> Store:
    return open_store(f"s3://{BUCKET}", storage)


@pytest.fixture
def service(storage: StorageSettings) -> Service:
    return Service(Settings("memory://no-models", storage=storage))


def written(bucket: Store, files: list[bytes]) -> dict[str, Any]:
    """What Step Functions writes at the end of a map run, and the event that names it."""
    folder = f"summaries/run/{uuid.uuid4()}"
    found = []
    for number, data in enumerate(files):
        found.append({"Key": f"{folder}/SUCCEEDED_{number}.jsonl", "Size": len(data)})
        bucket.put_if_absent(str(found[-1]["Key"]), data)
    manifest = {"DestinationBucket": BUCKET, "MapRunArn": "arn", "ResultFiles": {"FAILED": [], "SUCCEEDED": found}}
    bucket.put_if_absent(f"{folder}/manifest.json", json.dumps(manifest).encode())
    return {
        "run": "run",
        "results": "s3://results/batch",
        "manifest": {"Bucket": BUCKET, "Key": f"{folder}/manifest.json"},
        "items": {"Total": 45, "Succeeded": 40, "Failed": 3, "TimedOut": 2},
    }


def lines(count: int) -> bytes:
    return b"".join(json.dumps(OUTPUT).encode() + b"\n" for _ in range(count))


def test_all_item_batches_are_added_up_and_what_failed_is_told(service: Service, bucket: Store) -> None:
    event = written(bucket, [lines(3), lines(1).rstrip()])
    folder = event["manifest"]["Key"].rpartition("/")[0]
    answer = summary.write(service, event)
    assert answer == {
        "run": "run",
        "objects": 45,
        "answered": 28,
        "refused": 8,
        "left_alone": 4,
        "failed": 5,
        "results": "s3://results/batch",
        "manifest": f"s3://{BUCKET}/{folder}/manifest.json",
        "summary": f"s3://{BUCKET}/{folder}/summary.json",
    }
    document = json.loads(bucket.read(f"{folder}/summary.json").data)
    assert document == {name: value for name, value in answer.items() if name != "summary"}


def test_a_file_of_many_pieces_is_read_whole(service: Service, bucket: Store) -> None:
    count = 3 * CHUNK_BYTES // len(lines(1))
    assert summary.write(service, written(bucket, [lines(count)]))["answered"] == 7 * count


def test_a_run_of_nothing_has_a_summary(service: Service, bucket: Store) -> None:
    event = {**written(bucket, []), "items": {"Total": 0, "Succeeded": 0}}
    assert (summary.write(service, event)["objects"], summary.write(service, event)["failed"]) == (0, 0)


def test_a_second_time_changes_nothing_and_another_summary_is_not_written_over_it(
    service: Service, bucket: Store
) -> None:
    event = written(bucket, [lines(1)])
    assert summary.write(service, event) == summary.write(service, event)
    with pytest.raises(ConflictError):
        summary.write(service, {**event, "run": "another"})


@pytest.mark.parametrize("name", ["run", "results", "manifest", "items"])
def test_another_event_is_refused(service: Service, bucket: Store, name: str) -> None:
    event = written(bucket, [])
    del event[name]
    with pytest.raises(ManifestError, match=f"event: the field '{name}' is missing"):
        summary.write(service, event)


def test_what_no_map_has_written_is_refused(service: Service, bucket: Store) -> None:
    event = written(bucket, [b'{"objects": 1}\n'])
    with pytest.raises(ManifestError, match=r"SUCCEEDED_0.jsonl: the field 'answered' is missing"):
        summary.write(service, event)
    with pytest.raises(ObjectNotFoundError):
        summary.write(service, {**event, "manifest": {"Bucket": BUCKET, "Key": "gone/manifest.json"}})
