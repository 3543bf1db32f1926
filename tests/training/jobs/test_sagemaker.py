from dataclasses import replace
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from onnxlet.errors import InvalidRequestError, SettingsError
from training.jobs import sagemaker
from training.jobs.job import Job

JOB = Job(
    recipe="cats-dogs",
    parameters={"registry": "s3://models/registry", "epochs": "3", "data": "s3://photos/all"},
    image="123456789012.dkr.ecr.eu-central-1.amazonaws.com/onnxlet:1",
    output="s3://runs",
    gpu="l4",
    instances=2,
    is_spot=True,
    region="eu-central-1",
)
ROLE = "arn:aws:iam::123456789012:role/training"


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Any:
    """moto's SageMaker over HTTP, which AWS's own tools are led to by a variable."""
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER", f"http://localhost:{server.get_host_and_port()[1]}")
    yield boto3.client("sagemaker", region_name=JOB.region)
    server.stop()


def test_a_job_arrives_as_it_was_asked_for(api: Any) -> None:
    name = sagemaker.submit(JOB, ROLE)
    found = api.describe_training_job(TrainingJobName=name)
    assert found["HyperParameters"] == {"recipe": "cats-dogs", "registry": "s3://models/registry", "epochs": "3"}
    assert found["ResourceConfig"]["InstanceType"] == "ml.g6.xlarge"
    assert found["ResourceConfig"]["InstanceCount"] == 2
    assert found["EnableManagedSpotTraining"] is True
    assert found["StoppingCondition"]["MaxWaitTimeInSeconds"] > found["StoppingCondition"]["MaxRuntimeInSeconds"]
    assert found["CheckpointConfig"]["S3Uri"].startswith("s3://runs/checkpoints/onnxlet-cats-dogs-")
    (channel,) = found["InputDataConfig"]
    assert channel["DataSource"]["S3DataSource"]["S3Uri"] == "s3://photos/all"
    assert found["RoleArn"] == ROLE
    lines: list[str] = []
    sagemaker.follow(JOB, name, lines.append, look_s=0)
    assert lines, "moto ends a job at once, and tells its states"


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"gpu": "abacus"}, InvalidRequestError, "--gpu abacus: expected one of t4"),
        ({"parameters": {"data": "/home/me/photos"}}, InvalidRequestError, "expected a URL of s3://"),
    ],
)
def test_a_job_that_cannot_run_is_refused_in_one_line(
    api: Any, changes: dict[str, Any], error: type[Exception], words: str
) -> None:
    before = api.list_training_jobs()["TrainingJobSummaries"]
    with pytest.raises(error, match=words):
        sagemaker.submit(replace(JOB, **changes), ROLE)
    assert api.list_training_jobs()["TrainingJobSummaries"] == before


@pytest.mark.usefixtures("api")
def test_a_role_that_is_none_is_told() -> None:
    with pytest.raises(SettingsError, match="RoleArn"):
        sagemaker.submit(JOB, "no role")


def test_a_missing_role_is_named() -> None:
    with pytest.raises(SettingsError, match="--role"):
        sagemaker.submit(JOB, "")
