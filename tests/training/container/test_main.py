"""The image's entry point, from a job as it is submitted to its results."""

import json
import uuid
from collections.abc import Mapping
from pathlib import Path

import pytest

from onnxlet.errors import OnnxletError
from onnxlet.registry.registry import Registry
from onnxlet.storage import open_store
from onnxlet.storage.connection import StorageSettings
from onnxlet_cli.jobs import check_places
from onnxlet_cli.local.http import Handler, serving
from onnxlet_training.jobs import sagemaker as sagemaker_api
from onnxlet_training.jobs.job import Job
from tests.conftest import BUCKET
from tests.helpers.containers import run_module, start


def submitted(folder: Path, endpoint: str, bucket: str) -> tuple[Path, dict[str, str], str]:
    """Write a job as the command submits it to SageMaker; return the root, the environment and the registry's URL."""
    registry = f"s3://{bucket}/{uuid.uuid4()}"
    parameters = {"registry": registry, "fast": "true", "epochs": "1"}
    environment = {"AWS_ENDPOINT_URL_S3": endpoint}
    job = Job("digits", parameters, "image", f"s3://{bucket}/runs", region="us-east-1", environment=environment)
    request = sagemaker_api.to_request(job, f"onnxlet-{uuid.uuid4()}", "role")
    root = folder / "ml"
    (root / "input/config").mkdir(parents=True)
    (root / "input/config/hyperparameters.json").write_text(json.dumps(request["HyperParameters"]))
    return root, request["Environment"], registry


class ElsewhereS3(Handler):
    """S3's answer for a bucket that is in another region than the one in the request's signature."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.rfile.read(int(self.headers.get("content-length", "0")))
        body = (
            b"<Error><Code>PermanentRedirect</Code><Message>The bucket you are attempting to access must be addressed "
            b"using the specified endpoint.</Message><Endpoint>s3.eu-central-1.amazonaws.com</Endpoint></Error>"
        )
        self.reply(301, body, {"content-type": "application/xml", "x-amz-bucket-region": "eu-central-1"})

    do_PUT = do_GET


def failure_of(folder: Path, root: Path, environment: Mapping[str, str]) -> str:
    """Why a job failed, as SageMaker reads it; it trained nothing and left nothing to continue from."""
    done = run_module(folder, [], root, **environment)
    assert done.returncode == 1
    assert "epoch" not in done.stdout + done.stderr
    assert list((root / "checkpoints/run").iterdir()) == []
    return (root / "output/failure").read_text()


@pytest.mark.training
def test_a_job_as_it_is_submitted_publishes(tmp_path: Path, s3_endpoint: str) -> None:
    root, environment, registry = submitted(tmp_path, s3_endpoint, BUCKET)
    done = run_module(tmp_path, [], root, **environment)
    assert done.returncode == 0, done.stderr
    storage = StorageSettings(s3_endpoint)
    assert Registry(open_store(registry, storage)).resolve("digits").version == 1
    kept = list(open_store(environment["ONNXLET_CHECKPOINTS"], storage).keys(""))
    assert len(kept) == 1, "the proof that checkpoints could be kept; SageMaker itself brings them there"


def test_a_registry_in_another_region_ends_the_job_before_it_trains(tmp_path: Path) -> None:
    with serving(type("BoundElsewhere", (ElsewhereS3,), {"asked": []})) as url:
        root, environment, _ = submitted(tmp_path, url, "models")
        reason = failure_of(tmp_path, root, environment)
    assert reason.startswith("onnxlet: nothing was trained, as this run could not keep its model: s3://models/")
    assert reason.endswith(
        "the bucket is in another region; set AWS_REGION to the bucket's region "
        "(this job's AWS_REGION is us-east-1, by its --region)"
    )


def test_an_endpoint_that_does_not_answer_ends_the_job_before_it_trains(tmp_path: Path) -> None:
    root, environment, _ = submitted(tmp_path, "http://127.0.0.1:9", "models")
    assert "onnxlet: nothing was trained" in failure_of(tmp_path, root, environment)


def test_a_bucket_that_is_not_there_ends_the_job_before_it_trains(tmp_path: Path, s3_endpoint: str) -> None:
    root, environment, registry = submitted(tmp_path, s3_endpoint, BUCKET)
    environment["ONNXLET_CHECKPOINTS"] = "s3://onnxlet-nowhere/checkpoints"
    assert "s3://onnxlet-nowhere/checkpoints" in failure_of(tmp_path, root, environment)
    assert Registry(open_store(registry, StorageSettings(s3_endpoint))).models() == []


def test_of_the_processes_of_a_job_one_tries_for_all(tmp_path: Path, s3_endpoint: str) -> None:
    _, environment, url = submitted(tmp_path, s3_endpoint, BUCKET)
    registry = Registry(open_store(url, StorageSettings(s3_endpoint)))
    for variable in ("RANK", "KERAS_DISTRIBUTION_PROCESS_ID"):
        check_places(registry, "digits", "live", {**environment, variable: "1"})
    assert list(registry.store.keys("")) == []
    with pytest.raises(OnnxletError, match="nothing was trained"):
        check_places(Registry(open_store("s3://onnxlet-nowhere", StorageSettings(s3_endpoint))), "digits", "live", {})


def test_a_bucket_that_cannot_be_written_ends_the_job_before_it_trains(tmp_path: Path) -> None:
    (tmp_path / "gcs").write_bytes(b"")  # where the bucket would be mounted
    process = start(
        tmp_path,
        ["--recipe=cnn"],
        MOUNTED_BUCKETS=str(tmp_path / "gcs"),
        AIP_CHECKPOINT_DIR="gs://runs/cnn/checkpoints/",
    )
    _, told = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "MachineError" in told
    assert "checkpoints could not be kept there, so nothing was trained: Not a directory" in told


def test_what_proves_that_a_job_can_write_does_not_stay(tmp_path: Path) -> None:
    assert start(tmp_path, ["--recipe=digits"]).wait(60) == 0
    assert [path.name for path in (tmp_path / "run").iterdir() if "may-write" in path.name] == []
