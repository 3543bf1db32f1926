"""SageMaker: a training job submitted by its API, and followed to its end.

Source: Amazon SageMaker API reference, CreateTrainingJob and DescribeTrainingJob.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import boto3
import botocore.exceptions

from onnxlet.errors import CredentialsError, SettingsError, StoreError
from onnxlet_training.jobs.job import CHECKPOINTS, MAX_HOURS, Job, check_url, machine

MACHINES: dict[str | None, str] = {
    None: "ml.c7i.4xlarge",
    "t4": "ml.g4dn.xlarge",
    "a10g": "ml.g5.xlarge",
    "l4": "ml.g6.xlarge",
    "a100": "ml.p4d.24xlarge",
    "h100": "ml.p5.48xlarge",
}
"""The smallest with each kind of GPU; of the A100 and the H100 a machine has eight. No V100: CUDA 13 left it behind."""

CHANNEL = "training"
VOLUME_GIB = 100
SECONDS_PER_HOUR = 3600
LOOK_S = 15.0


def submit(job: Job, role: str) -> str:
    """Start a job; gives its name.

    Raises:
        InvalidRequestError: a job that SageMaker cannot run.
        CredentialsError: no credentials.
        SettingsError: no region, or no role.
        StoreError: SageMaker refuses the job; the text says why (a quota, most often).
    """
    if not role:
        raise SettingsError("--role: expected the ARN of a role that SageMaker may take, got nothing")
    name = job.name()
    with _translated():
        client = _client(job)
        client.create_training_job(**to_request(replace(job, region=client.meta.region_name), name, role))
    return name


def to_request(job: Job, name: str, role: str) -> dict[str, Any]:
    """The request for a job.

    Raises:
        InvalidRequestError: a kind of GPU that we know no machine for, or data and results outside of S3.
    """
    check_url("--output", job.output, "s3")
    max_s = MAX_HOURS * SECONDS_PER_HOUR
    stopping = {"MaxRuntimeInSeconds": max_s}
    if job.is_spot:
        stopping["MaxWaitTimeInSeconds"] = 2 * max_s
    parameters = {"recipe": job.recipe, **job.parameters}
    data = parameters.pop("data", "")
    checkpoints = f"{job.output.rstrip('/')}/checkpoints/{name}"
    # SageMaker does not promise to tell a container its region: https://github.com/aws/sagemaker-training-toolkit/issues/207
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
        CredentialsError: they ran out; the job goes on.
        StoreError: the job failed, or SageMaker does not answer; the text says why.
    """
    seen = 0
    with _translated():
        client = _client(job)
    while True:
        with _translated():  # boto3 itself asks again after a failure that may pass
            found = client.describe_training_job(TrainingJobName=name)
        transitions = found.get("SecondaryStatusTransitions", [])
        lines = [f"{each['Status']}: {each.get('StatusMessage', '')}".rstrip(": ") for each in transitions]
        for line in lines[seen:]:
            report(line)
        seen = len(lines)
        status = found["TrainingJobStatus"]
        if status == "Completed":
            return
        if status in {"Failed", "Stopped"}:
            # A job that was stopped, or whose time was over, has no reason but its last state.
            reason = found.get("FailureReason") or (lines[-1] if lines else "no reason is given")
            raise StoreError(f"{name}: {status.lower()}: {reason}")
        time.sleep(look_s)


@contextmanager
def _translated() -> Iterator[None]:
    """Our errors for botocore's."""
    try:
        yield
    except (
        botocore.exceptions.NoCredentialsError,
        botocore.exceptions.PartialCredentialsError,
        botocore.exceptions.SSOError,
        botocore.exceptions.TokenRetrievalError,
    ) as error:
        raise CredentialsError(f"SageMaker: {error}; run `aws configure`, or set AWS_PROFILE") from error
    except botocore.exceptions.NoRegionError as error:
        raise SettingsError(f"SageMaker: {error}; expected --region, or AWS_REGION") from error
    except botocore.exceptions.ClientError as error:
        found = error.response["Error"]
        kind = CredentialsError if "Token" in found["Code"] else StoreError
        raise kind(f"SageMaker refuses: {found['Code']}: {found['Message']}") from error
    except botocore.exceptions.ParamValidationError as error:
        raise SettingsError(f"SageMaker was not asked: {error}") from error
    except botocore.exceptions.BotoCoreError as error:
        raise StoreError(f"SageMaker cannot be reached: {error}") from error


def _client(job: Job) -> Any:
    return boto3.Session().client("sagemaker", region_name=job.region)
