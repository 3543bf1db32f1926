"""SageMaker: submit a training job through its API, and follow the job to its end.

Source: Amazon SageMaker API reference, CreateTrainingJob and DescribeTrainingJob.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import boto3
import botocore.exceptions

from onnxlet_publishing.errors import AccountError, UsageError
from onnxlet_training.errors import JobError
from onnxlet_training.jobs.job import CHECKPOINTS, MAX_HOURS, Job, check_url, machine

MACHINES: dict[str | None, str] = {
    None: "ml.c7i.4xlarge",
    "t4": "ml.g4dn.xlarge",
    "a10g": "ml.g5.xlarge",
    "l4": "ml.g6.xlarge",
    "a100": "ml.p4d.24xlarge",
    "h100": "ml.p5.48xlarge",
}
"""The smallest machine type with each kind of GPU; those with an A100 or H100 have eight. CUDA 13 lacks the V100."""

CHANNEL = "training"
VOLUME_GIB = 100
SECONDS_PER_HOUR = 3600
LOOK_S = 15.0
EXPIRED = {"ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "UnrecognizedClientException"}
"""AWS's error codes for credentials that it does not accept."""


def submit(job: Job, role: str) -> str:
    """Start a job and return its name.

    Raises:
        UsageError: SageMaker cannot run such a job, or there is no region or role.
        AccountError: there are no valid credentials.
        JobError: SageMaker refuses the job, most often because of a quota.
    """
    if not role:
        raise UsageError("--role: expected the ARN of a role that SageMaker may assume, got nothing")
    name = job.name()
    with _translated():
        client = _client(job)
        client.create_training_job(**to_request(replace(job, region=client.meta.region_name), name, role))
    return name


def to_request(job: Job, name: str, role: str) -> dict[str, Any]:
    """Return the API's request for a job.

    Raises:
        UsageError: no machine type is known for the GPU, or data or results are outside S3.
    """
    check_url("--output", job.output, "s3")
    max_s = MAX_HOURS * SECONDS_PER_HOUR
    stopping = {"MaxRuntimeInSeconds": max_s}
    if job.is_spot:
        stopping["MaxWaitTimeInSeconds"] = 2 * max_s
    parameters = {"recipe": job.recipe, **job.parameters}
    data = parameters.pop("data", "")
    checkpoints = f"{job.output.rstrip('/')}/checkpoints/{name}"
    # SageMaker does not promise a container its region: https://github.com/aws/sagemaker-training-toolkit/issues/207
    region = {"AWS_REGION": job.region, "AWS_DEFAULT_REGION": job.region} if job.region else {}
    request: dict[str, Any] = {
        "TrainingJobName": name,
        "AlgorithmSpecification": {"TrainingImage": job.image, "TrainingInputMode": "File"},
        "RoleArn": role,
        "HyperParameters": parameters,
        "Environment": {**job.environment, **region, CHECKPOINTS: checkpoints},
        "OutputDataConfig": {"S3OutputPath": job.output},
        "CheckpointConfig": {"S3Uri": checkpoints},
        "ResourceConfig": {
            "InstanceType": machine(MACHINES, job.gpu),
            "InstanceCount": job.instances,
            "VolumeSizeInGB": VOLUME_GIB,
        },
        "StoppingCondition": stopping,
        "EnableManagedSpotTraining": job.is_spot,
    }
    if data:
        check_url("--data", data, "s3")
        source = {"S3DataType": "S3Prefix", "S3Uri": data, "S3DataDistributionType": "FullyReplicated"}
        request["InputDataConfig"] = [{"ChannelName": CHANNEL, "DataSource": {"S3DataSource": source}}]
    return request


def follow(job: Job, name: str, report: Callable[[str], None], look_s: float = LOOK_S) -> None:
    """Report each new state of a job until it ends.

    Raises:
        AccountError: the credentials expired; the job continues.
        JobError: the job failed, or SageMaker does not answer.
    """
    seen = 0
    with _translated():
        client = _client(job)
    while True:
        with _translated():  # boto3 itself repeats a request after a temporary failure
            description = client.describe_training_job(TrainingJobName=name)
        transitions = description.get("SecondaryStatusTransitions", [])
        lines = [f"{state['Status']}: {state.get('StatusMessage', '')}".rstrip(": ") for state in transitions]
        for line in lines[seen:]:
            report(line)
        seen = len(lines)
        status = description["TrainingJobStatus"]
        if status == "Completed":
            return
        if status in {"Failed", "Stopped"}:
            # A job that was stopped or ran out of time has only its last state as a reason.
            reason = description.get("FailureReason") or (lines[-1] if lines else "no reason was given")
            raise JobError(f"{name}: {status.lower()}: {reason}")
        time.sleep(look_s)


@contextmanager
def _translated() -> Iterator[None]:
    """Translate botocore's errors."""
    try:
        yield
    except (
        botocore.exceptions.NoCredentialsError,
        botocore.exceptions.PartialCredentialsError,
        botocore.exceptions.SSOError,
        botocore.exceptions.TokenRetrievalError,
    ) as error:
        raise AccountError(f"SageMaker: {error}; run `aws configure`, or set AWS_PROFILE") from error
    except botocore.exceptions.NoRegionError as error:
        raise UsageError(f"SageMaker: {error}; expected --region, or AWS_REGION") from error
    except botocore.exceptions.ClientError as error:
        answer = error.response["Error"]
        kind = AccountError if answer["Code"] in EXPIRED else JobError
        raise kind(f"SageMaker refuses: {answer['Code']}: {answer['Message']}") from error
    except botocore.exceptions.ParamValidationError as error:
        raise UsageError(f"the request for SageMaker is malformed: {error}") from error
    except botocore.exceptions.BotoCoreError as error:
        raise JobError(f"SageMaker cannot be reached: {error}", is_retryable=True) from error


def _client(job: Job) -> Any:
    return boto3.Session().client("sagemaker", region_name=job.region)
