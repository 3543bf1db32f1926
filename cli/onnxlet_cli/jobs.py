"""A training job for a cloud: submitted, followed, and its end told."""

import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace

from onnxlet.errors import InvalidRequestError, OnnxletError
from onnxlet.registry.registry import Registry
from onnxlet_cli import output
from onnxlet_cli.registry import open_place, storage_variables
from onnxlet_publishing.errors import CommandError
from onnxlet_publishing.google_identity import find_identity
from onnxlet_publishing.write_access import check_may_keep, check_may_publish
from onnxlet_training.jobs import sagemaker
from onnxlet_training.jobs.job import CHECKPOINTS, Job
from onnxlet_training.jobs.vertex import Vertex
from onnxlet_training.networks.processes import is_first

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


def check_places(registry: Registry, model: str, alias: str | None, environment: Mapping[str, str]) -> None:
    """Look whether a run can keep what it makes, before it trains: in the registry, and where checkpoints are kept.

    A folder of this machine is not tried: opening it has shown that it is there. Of the processes that share a job the
    first tries for all.

    Raises:
        OnnxletError: a place cannot be read or written by this process; nothing was trained.
    """
    if not is_first(environment):
        return
    try:
        if registry.store.url.startswith(STORAGE):
            check_may_publish(registry, model, alias)
        if CHECKPOINTS in environment:
            check_may_keep(open_place(environment[CHECKPOINTS]))
    except (CommandError, OnnxletError) as error:
        region = environment.get("AWS_REGION") if CHECKPOINTS in environment else None
        where = f" (this job's AWS_REGION is {region}, by its --region)" if region else ""
        raise type(error)(f"nothing was trained, as this run could not keep its model: {error}{where}") from error


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
    job = replace(job, environment=storage_variables(job.parameters["registry"]))
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
    identity = find_identity()
    token = None if identity is None else identity.token
    vertex = Vertex(account.project, account.region, os.environ.get(VERTEX_ENDPOINT), token)
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
