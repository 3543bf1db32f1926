"""SageMaker: a training job submitted by its API, and followed to its end.

Source: Amazon SageMaker API reference, CreateTrainingJob and DescribeTrainingJob.
"""

import time
from collections.abc import Callable
from typing import Any

import boto3
import botocore.exceptions

from onnxlet.errors import InvalidRequestError, SettingsError, StoreError
from training.jobs.job import MAX_HOURS, Job, machine

MACHINES: dict[str | None, str] = {
    None: "ml.c7i.4xlarge",
    "t4": "ml.g4dn.xlarge",
    "a10g": "ml.g5.xlarge",
    "l4": "ml.g6.xlarge",
    "v100": "ml.p3.2xlarge",
    "a100": "ml.p4d.24xlarge",
    "h100": "ml.p5.48xlarge",
}
VOLUME_GIB = 100
SECONDS_PER_HOUR = 3600
LOOK_S = 15.0


def submit(job: Job, role: str) -> str:
    """Start a job; gives its name.

    Raises:
        SettingsError: no credentials, no region, or no role.
        StoreError: SageMaker refuses the job; the text says why (a quota, most often).
    """
    if not role:
        raise SettingsError("--role: expected the ARN of a role that SageMaker may take, got nothing")
    name = job.name()
    try:
        _client(job).create_training_job(**to_request(job, name, role))
    except botocore.exceptions.BotoCoreError as error:
        raise SettingsError(f"SageMaker was not asked: {error}") from error
    except botocore.exceptions.ClientError as error:
        raise StoreError(f"SageMaker refuses the job: {error.response['Error']['Message']}") from error
    return name


def to_request(job: Job, name: str, role: str) -> dict[str, Any]:
    """The request for a job.

    Raises:
        InvalidRequestError: a kind of GPU that we know no machine for.
    """
    max_s = MAX_HOURS * SECONDS_PER_HOUR
    stopping = {"MaxRuntimeInSeconds": max_s}
    if job.is_spot:
        stopping["MaxWaitTimeInSeconds"] = 2 * max_s
    parameters = {"recipe": job.recipe, **job.parameters}
    data = parameters.pop("data", "")
    request: dict[str, Any] = {
        "TrainingJobName": name,
        "AlgorithmSpecification": {"TrainingImage": job.image, "TrainingInputMode": "File"},
        "RoleArn": role,
        "HyperParameters": parameters,
        "OutputDataConfig": {"S3OutputPath": job.output},
        "CheckpointConfig": {"S3Uri": f"{job.output.rstrip('/')}/checkpoints/{name}"},
        "ResourceConfig": {
            "InstanceType": machine(MACHINES, job.gpu),
            "InstanceCount": job.instances,
            "VolumeSizeInGB": VOLUME_GIB,
        },
        "StoppingCondition": stopping,
        "EnableManagedSpotTraining": job.is_spot,
    }
    if data:
        if not data.startswith("s3://"):
            raise InvalidRequestError(f"--data {data}: expected a URL of s3://, which SageMaker can read")
        source = {"S3DataType": "S3Prefix", "S3Uri": data, "S3DataDistributionType": "FullyReplicated"}
        request["InputDataConfig"] = [{"ChannelName": "training", "DataSource": {"S3DataSource": source}}]
    return request


def follow(job: Job, name: str, report: Callable[[str], None], look_s: float = LOOK_S) -> None:
    """Report each new state of a job until it ends.

    Raises:
        StoreError: it failed; the text says why.
    """
    client, seen = _client(job), 0
    while True:
        found = client.describe_training_job(TrainingJobName=name)
        transitions = found.get("SecondaryStatusTransitions", [])
        for each in transitions[seen:]:
            report(f"{each['Status']}: {each.get('StatusMessage', '')}".rstrip(": "))
        seen = len(transitions)
        status = found["TrainingJobStatus"]
        if status == "Completed":
            return
        if status in {"Failed", "Stopped"}:
            raise StoreError(f"{name}: {status.lower()}: {found.get('FailureReason', 'no reason is given')}")
        time.sleep(look_s)


def _client(job: Job) -> Any:
    try:
        return boto3.client("sagemaker", region_name=job.region)
    except botocore.exceptions.BotoCoreError as error:
        raise SettingsError(f"SageMaker: {error}; expected --region, or AWS_REGION") from error
