"""A training job for a cloud: submitted, followed, and its end told."""

import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace

from cli import output
from onnxlet.errors import InvalidRequestError
from training.jobs import sagemaker
from training.jobs.job import Job
from training.jobs.vertex import Vertex

CLOUDS = ("sagemaker", "vertex")

STORAGE = ("s3://", "gs://")
"""What a machine of a cloud reaches: never a folder of this one."""

Report = Callable[[str], None]
"""Takes a line about the job."""

VERTEX_ENDPOINT = "CLOUDSDK_API_ENDPOINT_OVERRIDES_AIPLATFORM"
"""Google's own variable for a Vertex AI at another address, as a private one (gcloud, "api_endpoint_overrides")."""


@dataclass(frozen=True)
class Account:
    """Whose machines they are."""

    role: str = ""
    """Whom a job runs as: for SageMaker a role's ARN; for Vertex AI the address of a service account, or its own."""
    project: str = ""
    """For Vertex AI."""
    region: str = ""


def cloud_job(recipe: str, chosen: Mapping[str, object], image: str, output_url: str) -> Job:
    """The job that the options of `onnxlet train` describe; what was not chosen is not passed on.

    Raises:
        InvalidRequestError: something that a job needs is missing.
    """
    if not image:
        raise InvalidRequestError("--image: expected the URI of a container; training/Dockerfile makes one")
    if not output_url.startswith(STORAGE):
        raise InvalidRequestError("--output: expected a URL of s3:// or gs:// for checkpoints and the report")
    if not str(chosen.get("registry") or "").startswith(STORAGE):
        raise InvalidRequestError("--registry: expected a registry that the job can reach, of s3:// or gs://")
    parameters = {name: _text(value) for name, value in chosen.items() if value is not None and value is not False}
    return Job(recipe, parameters, image, output_url)


def _text(value: object) -> str:
    """An option as a hyperparameter, which is a text."""
    return "true" if value is True else str(value)


def run_job(cloud: str, job: Job, account: Account, *, json: bool = False) -> None:
    """Submit a job and follow it to its end; the job itself publishes.

    Args:
        cloud: Where.
        job: What is trained.
        account: Whose machines they are.
        json: Whether the job that is done is printed for machines, and its course told on the error stream.

    Raises:
        InvalidRequestError: no such cloud, or a job that it cannot run.
        CredentialsError, SettingsError: credentials, a role, a project or a region are missing.
        StoreError: the cloud refuses the job, or it failed.
    """
    if cloud not in CLOUDS:
        raise InvalidRequestError(f"--on {cloud}: expected one of {', '.join(CLOUDS)}")
    if cloud == "sagemaker":  # boto3 itself reads AWS_DEFAULT_REGION alone
        job = replace(job, region=job.region or os.environ.get("AWS_REGION"))
    run = _run_on_sagemaker if cloud == "sagemaker" else _run_on_vertex
    name = run(job, account, _tell_aside if json else output.print_line)
    if json:
        output.print_json({"cloud": cloud, "name": name, **asdict(job)})
    else:
        output.print_line(f"{name} is done; its version is in {job.parameters['registry']}")


def _run_on_sagemaker(job: Job, account: Account, report: Report) -> str:
    name = sagemaker.submit(job, account.role)
    report(f"SageMaker runs {name}")
    try:
        sagemaker.follow(job, name, report)
    except KeyboardInterrupt:
        _say_it_goes_on(name, f"aws sagemaker stop-training-job --training-job-name {name}")
        raise
    return name


def _run_on_vertex(job: Job, account: Account, report: Report) -> str:
    vertex = Vertex(account.project, account.region, os.environ.get(VERTEX_ENDPOINT))
    name = vertex.submit(job, account.role)
    report(f"Vertex AI runs {name}")
    try:
        vertex.follow(name, report)
    except KeyboardInterrupt:
        _say_it_goes_on(name, f"gcloud ai custom-jobs cancel {name}")
        raise
    return name


def _say_it_goes_on(name: str, command: str) -> None:
    output.print_warning(f"{name} goes on, and costs; to end it: {command}")


def _tell_aside(line: str) -> None:
    """A line on the error stream: the output is for the document."""
    output.progress().print(line, highlight=False, markup=False)
