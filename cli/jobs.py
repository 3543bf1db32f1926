"""A training job for a cloud: submitted, followed, and its end told."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from cli import output
from onnxlet.errors import InvalidRequestError
from training.jobs import sagemaker
from training.jobs.job import Job
from training.jobs.vertex import Vertex
from training.recipes import find_recipe

CLOUDS = ("sagemaker", "vertex")

STORAGE = ("s3://", "gs://")
"""What a machine of a cloud reaches: never a folder of this one."""

VERTEX_ENDPOINT = "CLOUDSDK_API_ENDPOINT_OVERRIDES_AIPLATFORM"
"""Google's own variable for a Vertex AI at another address, as a private one (gcloud, "api_endpoint_overrides")."""


@dataclass(frozen=True)
class Account:
    """Whose machines they are."""

    role: str = ""
    """For SageMaker."""
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


def run_job(cloud: str, job: Job, account: Account) -> None:
    """Submit a job and follow it to its end; the job itself publishes.

    Raises:
        InvalidRequestError: no such cloud, or a job that it cannot run.
        CredentialsError, SettingsError: credentials, a role, a project or a region are missing.
        StoreError: the cloud refuses the job, or it failed.
    """
    if cloud not in CLOUDS:
        raise InvalidRequestError(f"--on {cloud}: expected one of {', '.join(CLOUDS)}")
    _check_instances(job)
    if cloud == "sagemaker":
        _run_on_sagemaker(job, account)
    else:
        _run_on_vertex(job, account)


def _check_instances(job: Job) -> None:
    """Refuse machines that would be paid for and not used.

    Raises:
        InvalidRequestError: several, for a recipe that trains on one.
    """
    if job.instances > 1 and find_recipe(job.recipe).network.framework != "torch":
        raise InvalidRequestError(
            f"--instances {job.instances}: {job.recipe} trains on one machine, on all GPUs of it; "
            "recipes of PyTorch share a job"
        )


def _run_on_sagemaker(job: Job, account: Account) -> None:
    name = sagemaker.submit(job, account.role)
    output.print_line(f"SageMaker runs {name}")
    try:
        sagemaker.follow(job, name, output.print_line)
    except KeyboardInterrupt:
        _say_it_goes_on(name, f"aws sagemaker stop-training-job --training-job-name {name}")
        raise
    _say_it_is_done(name, job)


def _run_on_vertex(job: Job, account: Account) -> None:
    vertex = Vertex(account.project, account.region, os.environ.get(VERTEX_ENDPOINT))
    name = vertex.submit(job)
    output.print_line(f"Vertex AI runs {name}")
    try:
        vertex.follow(name, output.print_line)
    except KeyboardInterrupt:
        _say_it_goes_on(name, f"gcloud ai custom-jobs cancel {name}")
        raise
    _say_it_is_done(name, job)


def _say_it_goes_on(name: str, command: str) -> None:
    output.print_warning(f"{name} goes on, and costs; to end it: {command}")


def _say_it_is_done(name: str, job: Job) -> None:
    output.print_line(f"{name} is done; its version is in {job.parameters['registry']}")
