import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from onnxlet_cli.jobs import Account, cloud_job, run_job
from onnxlet_cli.local.http import Handler, serving
from onnxlet_publishing.errors import AccountError, UsageError
from onnxlet_training.errors import JobError
from onnxlet_training.jobs import sagemaker
from onnxlet_training.jobs.job import Job
from tests.helpers import aws_model, forked

JOB = Job(
    recipe="cnn",
    parameters={"registry": "s3://models/registry", "epochs": "3", "data": "s3://sets/mnist.npz"},
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
    """Serve moto's SageMaker over HTTP; a variable directs AWS's own tools to it."""
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER", f"http://localhost:{server.get_host_and_port()[1]}")
    yield boto3.client("sagemaker", region_name=JOB.region)
    server.stop()


def test_a_job_arrives_as_it_was_asked_for(api: Any) -> None:
    name = sagemaker.submit(JOB, ROLE)
    found = api.describe_training_job(TrainingJobName=name)
    assert found["HyperParameters"] == {"recipe": "cnn", "registry": "s3://models/registry", "epochs": "3"}
    assert found["ResourceConfig"]["InstanceType"] == "ml.g6.xlarge"
    assert found["ResourceConfig"]["InstanceCount"] == 2
    assert found["EnableManagedSpotTraining"] is True
    assert found["StoppingCondition"]["MaxWaitTimeInSeconds"] > found["StoppingCondition"]["MaxRuntimeInSeconds"]
    assert found["CheckpointConfig"]["S3Uri"].startswith("s3://runs/checkpoints/onnxlet-cnn-")
    (channel,) = found["InputDataConfig"]
    assert channel["DataSource"]["S3DataSource"]["S3Uri"] == "s3://sets/mnist.npz"
    assert found["RoleArn"] == ROLE
    lines: list[str] = []
    sagemaker.follow(JOB, name, lines.append, look_s=0)
    assert lines, "moto ends a job at once, and tells its states"


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"gpu": "abacus"}, UsageError, "--gpu abacus: expected one of t4"),
        (
            {"parameters": {"data": "/home/me/photos"}},
            UsageError,
            "--data /home/me/photos: expected a URL",
        ),
        ({"output": "gs://runs"}, UsageError, "--output gs://runs: expected a URL of s3://"),
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
    with pytest.raises(UsageError, match="RoleArn"):
        sagemaker.submit(JOB, "no role")


def test_a_missing_role_is_named() -> None:
    with pytest.raises(UsageError, match="--role"):
        sagemaker.submit(JOB, "")


@pytest.mark.parametrize("gpu", sagemaker.MACHINES)
@pytest.mark.parametrize("is_spot", [True, False])
def test_each_request_is_one_by_awss_own_model(gpu: str | None, is_spot: bool) -> None:
    environment = {"AWS_ENDPOINT_URL_S3": "https://bucket.vpce-1.s3.eu-central-1.vpce.amazonaws.com"}
    parameters = {**JOB.parameters, "max-accuracy-drop": "0.005", "compress": "true", "fast": "true"}
    job = replace(JOB, gpu=gpu, is_spot=is_spot, parameters=parameters, environment=environment)
    request = sagemaker.to_request(job, job.name(), ROLE)
    assert aws_model.faults("sagemaker", "CreateTrainingJob", request) == []


def test_awss_own_model_knows_what_is_wrong() -> None:
    """Check the check above, which might otherwise accept anything."""
    request = sagemaker.to_request(JOB, "a name with spaces", ROLE)
    request["Environment"]["A-B"] = "x" * 513
    request["ResourceConfig"]["InstanceType"] = "ml.abacus.large"
    found = "\n".join(aws_model.faults("sagemaker", "CreateTrainingJob", request))
    for words in (
        "TrainingJobName: expected",
        "A-B (its name): expected",
        "A-B: expected",
        "InstanceType: expected one",
    ):
        assert words in found


def test_two_jobs_never_share_their_checkpoints() -> None:
    names = {JOB.name() for _ in range(20)}
    assert len(names) == 20
    assert len({sagemaker.to_request(JOB, name, ROLE)["CheckpointConfig"]["S3Uri"] for name in names}) == 20


@pytest.mark.usefixtures("api")
def test_missing_credentials_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(AccountError, match="Unable to locate credentials; run `aws configure`"):
        sagemaker.submit(JOB, ROLE)


@pytest.mark.usefixtures("api")
def test_a_job_that_is_not_there_cannot_be_followed() -> None:
    with pytest.raises(JobError, match="SageMaker refuses"):
        sagemaker.follow(JOB, "onnxlet-nobody", lambda _line: None, look_s=0)


def test_a_region_that_does_not_answer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(JobError, match="cannot be reached") as caught:
        sagemaker.submit(JOB, ROLE)
    assert caught.value.is_retryable


class Course(Handler):
    """SageMaker's DescribeTrainingJob, for the states that moto does not play: it ends every job at once, and well."""

    answers: list[dict[str, Any]]
    asked: list[dict[str, Any]]

    def do_POST(self) -> None:
        self.asked.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        body = json.dumps(self.answers.pop(0)).encode()
        self.reply(200, body, {"content-type": "application/x-amz-json-1.1"})


def described(status: str, *transitions: str, **more: str) -> dict[str, Any]:
    seen = [{"Status": name, "StatusMessage": f"{name} is told", "StartTime": 1} for name in transitions]
    return {"TrainingJobName": "one", "TrainingJobStatus": status, "SecondaryStatusTransitions": seen, **more}


def environment_of(monkeypatch: pytest.MonkeyPatch, job: Job) -> dict[str, str]:
    """Return the variables of a submitted job; moto does not return them itself."""
    asked: list[dict[str, Any]] = []
    answers = [{"TrainingJobArn": ROLE}, described("Completed")]
    with serving(type("BoundCourse", (Course,), {"asked": asked, "answers": answers})) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER", url)
        run_job("sagemaker", job, Account(ROLE))
    request, _ = asked
    found: dict[str, str] = request["Environment"]
    assert found.pop("ONNXLET_CHECKPOINTS") == request["CheckpointConfig"]["S3Uri"]
    return found


@pytest.mark.parametrize("place", ["--region", "AWS_REGION", "AWS_DEFAULT_REGION", "profile"])
def test_a_job_is_told_the_region_that_its_client_has(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, place: str
) -> None:
    """SageMaker itself does not promise to: without it the job would sign for us-east-1, and publish nothing."""
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    if place == "profile":
        (tmp_path / "config").write_text("[default]\nregion = sa-east-1\n")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    elif place != "--region":
        monkeypatch.setenv(place, "sa-east-1")
    job = replace(JOB, region="sa-east-1" if place == "--region" else None)
    assert environment_of(monkeypatch, job) == {"AWS_REGION": "sa-east-1", "AWS_DEFAULT_REGION": "sa-east-1"}


def test_a_job_is_told_how_its_user_reaches_the_registry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "config").write_text(
        "[default]\nservices = mine\nuse_fips_endpoint = true\n[services mine]\ns3 =\n"
        "  endpoint_url = https://bucket.vpce-1.s3.eu-central-1.vpce.amazonaws.com\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("ONNXLET_ALLOW_UNCONDITIONAL_WRITES", "1")
    monkeypatch.setenv("AWS_REGION", "us-west-2")
    assert environment_of(monkeypatch, JOB) == {
        "AWS_REGION": "eu-central-1",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_ENDPOINT_URL_S3": "https://bucket.vpce-1.s3.eu-central-1.vpce.amazonaws.com",
        "AWS_USE_FIPS_ENDPOINT": "true",
        "ONNXLET_ALLOW_UNCONDITIONAL_WRITES": "1",
    }


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (described("Stopped", "Starting", "Training", "MaxWaitTimeExceeded"), "one: stopped: MaxWaitTime"),
        (described("Failed", "Starting", "Training", "Failed", FailureReason="the disk is full"), "the disk is full"),
    ],
)
def test_each_state_is_told_once_and_why_it_ended(
    monkeypatch: pytest.MonkeyPatch, end: dict[str, Any], words: str
) -> None:
    begin = [described("InProgress", "Starting"), described("InProgress", "Starting", "Training")]
    lines: list[str] = []
    with serving(type("BoundCourse", (Course,), {"asked": [], "answers": [*begin, end]})) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER", url)
        with pytest.raises(JobError, match=words):
            sagemaker.follow(JOB, "one", lines.append, look_s=0)
    assert lines[:2] == ["Starting: Starting is told", "Training: Training is told"]
    assert len(lines) == 3


def onnxlet(folder: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    """`onnxlet train digits` with these options."""
    return forked.run(["train", "digits", *options], folder, timeout=120)


def test_the_command_submits_follows_and_tells_the_end(api: Any, tmp_path: Path) -> None:
    options = {
        "--on": "sagemaker",
        "--gpu": "t4",
        "--image": JOB.image,
        "--role": ROLE,
        "--region": "eu-central-1",
        "--registry": "s3://models/registry",
        "--output": "s3://runs",
        "--epochs": "2",
    }
    words = [word for pair in options.items() for word in pair]
    done = onnxlet(tmp_path, *words, "--spot", "--compress")
    assert done.returncode == 0, done.stderr
    first, *_, last = done.stdout.splitlines()
    name = first.removeprefix("SageMaker runs ")
    assert last == f"{name} is done; its version is in s3://models/registry"
    found = api.describe_training_job(TrainingJobName=name)
    assert found["HyperParameters"].items() >= {"recipe": "digits", "epochs": "2", "compress": "true"}.items()
    assert found["ResourceConfig"]["InstanceType"] == "ml.g4dn.xlarge"
    assert found["EnableManagedSpotTraining"] is True


@pytest.mark.parametrize(
    ("chosen", "output", "words"),
    [
        ({"registry": "file:///home/me"}, "s3://runs", "--registry: expected an s3:// or gs:// registry"),
        ({}, "s3://runs", "--registry"),
        ({"registry": "s3://models"}, "/home/me/runs", "--output: expected an s3:// or gs:// URL"),
    ],
)
def test_what_a_machine_of_a_cloud_cannot_reach_is_refused(chosen: dict[str, object], output: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        cloud_job("digits", chosen, JOB.image, output)


def test_a_job_in_a_cloud_has_its_own_folder(tmp_path: Path) -> None:
    done = onnxlet(tmp_path, "--on", "sagemaker", "--out", "run", "--image", JOB.image, "--output", "s3://runs")
    assert done.returncode == 1
    assert "--out: a job in a cloud has its own folder" in done.stderr
    assert done.stdout == ""


def test_the_job_that_is_done_is_printed_for_machines(
    api: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    run_job("sagemaker", replace(JOB, recipe="digits", region=None), Account(ROLE), json=True)
    told = capsys.readouterr()
    found = json.loads(told.out)
    assert found["cloud"] == "sagemaker"
    assert found["recipe"] == "digits"
    assert found["region"] == "eu-central-1"
    assert found["parameters"]["registry"] == "s3://models/registry"
    assert api.describe_training_job(TrainingJobName=found["name"])["TrainingJobStatus"] == "Completed"
    assert told.err.startswith(f"SageMaker runs {found['name']}\n")


def test_a_cloud_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError, match="--on moon: expected one of sagemaker, vertex"):
        run_job("moon", JOB, Account(ROLE))
