"""The program `python -m onnxlet_training.container`, which is the image's entry point."""

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from onnxlet.errors import OnnxletError
from onnxlet_publishing.errors import CommandError, MachineError
from onnxlet_training.container.gpus import compatibility_variables, count_gpus
from onnxlet_training.container.job import ContainerJob
from onnxlet_training.container.platforms import failure_file, sagemaker_job, sagemaker_root, vertex_job
from onnxlet_training.container.training import train

PROOF = "may-write-here"
"""The file with which a job proves that it can write, rename and delete in the run's folder."""
MAX_FAILURE_CHARACTERS = 1024
"""The length of a failure's reason that SageMaker shows."""
COMMAND = (sys.executable, "-m", "onnxlet_cli.main")


def main(arguments: Sequence[str], environment: Mapping[str, str], command: Sequence[str] = COMMAND) -> int:
    """Run the job and return its exit code.

    Raises:
        UsageError: there is no recipe, or a parameter that `onnxlet train` does not have.
        MachineError: the run's folder cannot be written.
    """
    gpus, root = count_gpus(environment), sagemaker_root(environment)
    job = sagemaker_job(root, gpus) if root else vertex_job(arguments, environment, gpus)
    launcher, options = job.launcher(), job.arguments()
    program = command[1:] if launcher else command  # the launcher starts Python itself
    _check_run(job.run, job.rank)
    variables = {**environment, **job.variables(), **compatibility_variables(environment)}
    code, reason = train([*launcher, *program, *options], variables)
    if code != 0 and job.failure is not None:
        _write_failure(job.failure, reason)
    if code == 0 and job.rank == 0:
        _copy_results(job)
    return code


def _check_run(folder: Path, rank: int) -> None:
    """Create the run's folder and try there what a checkpoint needs, before a training that could not keep any.

    Raises:
        MachineError: the folder cannot be written; it may be a bucket that the platform has mounted.
    """
    proof = folder / f"{PROOF}-{rank}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        proof.with_suffix(".part").write_text("A job may write here.\n")
        proof.with_suffix(".part").rename(proof)
        proof.unlink()
    except OSError as error:
        raise MachineError(
            f"{folder}: checkpoints could not be kept there, so nothing was trained: {error.strerror}; the job's role "
            "or service account needs to create, read, replace and delete objects there"
        ) from error


def _copy_results(job: ContainerJob) -> None:
    """Copy a run's results to the platform; the model itself is in the registry already."""
    if job.results is not None:
        job.results.mkdir(parents=True, exist_ok=True)
        for pattern in ("*.onnx", "run.json", "report.html"):
            for path in job.run.glob(pattern):
                shutil.copyfile(path, job.results / path.name)
    curves = job.run / "tensorboard"
    if job.curves is not None and curves.is_dir():
        shutil.copytree(curves, job.curves, dirs_exist_ok=True)


def _write_failure(path: Path, reason: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(reason[:MAX_FAILURE_CHARACTERS])


def _fail(error: Exception, environment: Mapping[str, str]) -> int:
    """Report why the job could not begin."""
    root = sagemaker_root(environment)
    sys.stderr.write(f"onnxlet: {error}\n")
    if root:
        _write_failure(failure_file(root), f"onnxlet: {error}")
    return 1


if __name__ == "__main__":
    try:
        sys.exit(main([argument for argument in sys.argv[1:] if argument != "train"], os.environ))
    except (CommandError, OnnxletError, OSError, ValueError) as problem:
        sys.exit(_fail(problem, os.environ))
