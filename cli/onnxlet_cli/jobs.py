"""Training jobs in a cloud: described by the options of `onnxlet train`, submitted and followed to their end."""

import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial

from onnxlet.errors import OnnxletError
from onnxlet.registry.registry import Registry
from onnxlet_cli import output
from onnxlet_cli.registry import open_place, storage_variables
from onnxlet_publishing.errors import CommandError, UsageError
from onnxlet_publishing.google_identity import find_identity
from onnxlet_publishing.write_access import check_may_keep, check_may_publish
from onnxlet_training.jobs import sagemaker
from onnxlet_training.jobs.job import CHECKPOINTS, Job
from onnxlet_training.jobs.vertex import Vertex
from onnxlet_training.networks.processes import is_first

CLOUDS = {"sagemaker": "SageMaker", "vertex": "Vertex AI"}

STORAGE = ("s3://", "gs://")
"""The schemes that a machine in a cloud can reach; it cannot reach a folder of this machine."""

Follow = Callable[[Callable[[str], None]], object]
"""Follows a job to its end, and reports its progress line by line."""

VERTEX_ENDPOINT = "CLOUDSDK_API_ENDPOINT_OVERRIDES_AIPLATFORM"
"""Google's own variable for a Vertex AI at another address, for example a private one."""


@dataclass(frozen=True)
class Account:
    """The account that runs a job."""

    role: str = ""
    """The job's identity: the ARN of a role for SageMaker, the address of a service account for Vertex AI."""
    project: str = ""
    """The project and its region, for Vertex AI."""
    region: str = ""


def cloud_job(recipe: str, chosen: Mapping[str, object], image: str, output_url: str) -> Job:
    """Return the job that the options of `onnxlet train` describe; options without a value are not passed on.

    Raises:
        UsageError: An option that a job needs is missing.
    """
    if not image:
        raise UsageError("--image: expected the URI of a container; training/Dockerfile makes one")
    if not output_url.startswith(STORAGE):
        raise UsageError("--output: expected an s3:// or gs:// URL for the checkpoints and the report")
    if not str(chosen.get("registry") or "").startswith(STORAGE):
        raise UsageError("--registry: expected an s3:// or gs:// registry, which the job can reach")
    given = {name: value for name, value in chosen.items() if value is not None and value is not False}
    parameters = {name: "true" if value is True else str(value) for name, value in given.items()}
    return Job(recipe, parameters, image, output_url)


def check_places(registry: Registry, model: str, alias: str | None, environment: Mapping[str, str]) -> None:
    """Check before the training that the run can write its model to the registry and its checkpoints to their store.

    A folder of this machine needs no check: opening it has shown that it is there. If several processes share a job,
    only the first one checks.

    Raises:
        OnnxletError, CommandError: A place cannot be read or written by this process; nothing was trained.
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
    """Submit a job and follow it to its end; the job itself publishes. JSON moves the progress to the error stream.

    Raises:
        UsageError: The cloud is unknown.
        OnnxletError, CommandError: Credentials, a role, a project or a region are missing, or the job failed.
    """
    if cloud not in CLOUDS:
        raise UsageError(f"--on {cloud}: expected one of {', '.join(CLOUDS)}")
    job = replace(job, environment=storage_variables(job.parameters["registry"]))
    if cloud == "sagemaker":  # boto3 itself reads only AWS_DEFAULT_REGION
        job = replace(job, region=job.region or os.environ.get("AWS_REGION"))
    name, follow, stop = (_submit_to_sagemaker if cloud == "sagemaker" else _submit_to_vertex)(job, account)
    report = output.print_note if json else output.print_line
    report(f"{CLOUDS[cloud]} runs {name}")
    try:
        follow(report)
    except KeyboardInterrupt:
        output.print_warning(f"{name} still runs and costs money; to stop it: {stop} {name}")
        raise
    line = f"{name} is done; its version is in {job.parameters['registry']}"
    output.show({"cloud": cloud, "name": name, **asdict(job)}, line, json=json)


def _submit_to_sagemaker(job: Job, account: Account) -> tuple[str, Follow, str]:
    """Return the job's name, how to follow it, and the command that stops it."""
    name = sagemaker.submit(job, account.role)
    return name, partial(sagemaker.follow, job, name), "aws sagemaker stop-training-job --training-job-name"


def _submit_to_vertex(job: Job, account: Account) -> tuple[str, Follow, str]:
    """Return the job's name, how to follow it, and the command that stops it."""
    identity = find_identity()
    token = None if identity is None else identity.token
    vertex = Vertex(account.project, account.region, os.environ.get(VERTEX_ENDPOINT), token)
    name = vertex.submit(job, account.role)
    return name, partial(vertex.follow, name), "gcloud ai custom-jobs cancel"
