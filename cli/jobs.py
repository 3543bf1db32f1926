"""A training job for a cloud: submitted, followed, and its end told."""

from collections.abc import Mapping
from dataclasses import dataclass

from cli import output
from onnxlet.errors import InvalidRequestError
from training.jobs import sagemaker
from training.jobs.job import Job
from training.jobs.vertex import Vertex

CLOUDS = ("sagemaker", "vertex")


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
    if "://" not in output_url:
        raise InvalidRequestError("--output: expected a URL of s3:// or gs:// for checkpoints and the report")
    if "://" not in str(chosen.get("registry") or ""):
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
        SettingsError: credentials, a role, a project or a region are missing.
        StoreError: the cloud refuses the job, or it failed.
    """
    if cloud == "sagemaker":
        name = sagemaker.submit(job, account.role)
        output.print_line(f"SageMaker runs {name}")
        sagemaker.follow(job, name, output.print_line)
    elif cloud == "vertex":
        vertex = Vertex(account.project, account.region)
        name = vertex.submit(job)
        output.print_line(f"Vertex AI runs {name}")
        vertex.follow(name, output.print_line)
    else:
        raise InvalidRequestError(f"--on {cloud}: expected one of {', '.join(CLOUDS)}")
    output.print_line(f"{name} is done; its version is in {job.parameters['registry']}")
