"""The container's entry point: what SageMaker or Vertex AI gives a training job, as one call of `onnxlet train`.

Source: Amazon SageMaker developer guide, "How Amazon SageMaker provides training information" and "Managed spot
training"; Vertex AI, "Environment variables for special Cloud Storage directories" and "Cloud Storage as a mounted file
system" (`/gcs`).
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from onnxlet.errors import SettingsError

SAGEMAKER_ROOT = Path("/opt/ml")
MOUNTED_BUCKETS = Path("/gcs")
"""Where Vertex AI mounts all buckets that the job may read."""

OPTIONS = ("data", "epochs", "seed", "gpu", "max-accuracy-drop", "registry")
FLAGS = ("fast", "compress", "stage", "force")
"""Of `onnxlet train`, given as `true` or `false`."""

TRUE = ("true", "1", "yes")
MAX_FAILURE_CHARACTERS = 1024
"""Of what SageMaker shows of a failure."""

COMMAND = (sys.executable, "-m", "cli.main")


@dataclass(frozen=True)
class Job:
    """What a platform asks for, and where it wants things."""

    parameters: Mapping[str, str]
    """`recipe`, and options of `onnxlet train` by their names."""
    run: Path
    """The run's folder, which the platform keeps when the job is interrupted."""
    results: Path | None
    """Where it takes the model and the report from."""
    failure: Path | None
    """Where it reads why a job failed."""


def main(arguments: Sequence[str], environment: Mapping[str, str], command: Sequence[str] = COMMAND) -> int:
    """Run the job; gives the exit code."""
    root = Path(environment.get("SAGEMAKER_ROOT", SAGEMAKER_ROOT))
    job = _sagemaker_job(root) if (root / "input/config").is_dir() else _vertex_job(arguments, environment)
    job.run.mkdir(parents=True, exist_ok=True)
    launcher = _launcher(root, environment)
    program = command[1:] if launcher else command  # the launcher starts Python itself
    code, reason = _train([*launcher, *program, *_to_arguments(job)])
    if code != 0 and job.failure is not None:
        job.failure.parent.mkdir(parents=True, exist_ok=True)
        job.failure.write_text(reason[:MAX_FAILURE_CHARACTERS])
    if code == 0 and job.results is not None:
        _hand_over(job.run, job.results)
    return code


def _sagemaker_job(root: Path) -> Job:
    """Hyperparameters are strings; the first channel is the data; checkpoints outlive an interrupted spot instance."""
    path = root / "input/config/hyperparameters.json"
    parameters = json.loads(path.read_text()) if path.exists() else {}
    channels = sorted(each for each in (root / "input/data").glob("*") if each.is_dir())
    if channels and "data" not in parameters:
        parameters["data"] = str(_only_file(channels[0]))
    return Job(parameters, root / "checkpoints/run", root / "model", root / "output/failure")


def _vertex_job(arguments: Sequence[str], environment: Mapping[str, str]) -> Job:
    """Arguments are `--name=value`; the directories are URLs of buckets, which are mounted."""
    parameters = {}
    for argument in arguments:
        name, separator, value = argument.removeprefix("--").partition("=")
        if not argument.startswith("--") or not separator:
            raise SettingsError(f"{argument!r}: expected --name=value")
        parameters[name] = value
    mounted = Path(environment.get("MOUNTED_BUCKETS", MOUNTED_BUCKETS))
    checkpoints = _mounted(environment.get("AIP_CHECKPOINT_DIR"), mounted)
    return Job(
        parameters=parameters,
        run=(checkpoints or Path.cwd()) / "run",
        results=_mounted(environment.get("AIP_MODEL_DIR"), mounted),
        failure=None,
    )


def _launcher(root: Path, environment: Mapping[str, str]) -> list[str]:
    """`torchrun` for PyTorch's recipes where the job has several machines; nothing where it has one.

    Source: PyTorch, "torchrun"; SageMaker, `resourceconfig.json`; Vertex AI, `CLUSTER_SPEC`.
    """
    hosts, rank = _machines(root, environment)
    if len(hosts) < 2:
        return []
    place = ["--nnodes", str(len(hosts)), "--node-rank", str(rank), "--master-addr", hosts[0]]
    return [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "auto", *place]


def _machines(root: Path, environment: Mapping[str, str]) -> tuple[list[str], int]:
    """The names of the job's machines, and which of them this is."""
    path = root / "input/config/resourceconfig.json"
    if path.exists():
        config = json.loads(path.read_text())
        hosts = sorted(config["hosts"])
        return hosts, hosts.index(config["current_host"])
    spec = json.loads(environment.get("CLUSTER_SPEC") or "{}")
    pools = spec.get("cluster", {})
    hosts = [address.partition(":")[0] for pool in sorted(pools) for address in pools[pool]]
    task = spec.get("task", {})
    before = sum(len(pools[pool]) for pool in sorted(pools) if pool < task.get("type", ""))
    return hosts, before + int(task.get("index", 0))


def _mounted(url: str | None, mounted: Path) -> Path | None:
    return None if not url else mounted / url.removeprefix("gs://").rstrip("/")


def _only_file(channel: Path) -> Path:
    """A channel's one file, or the channel where it holds more."""
    files = list(channel.iterdir())
    return files[0] if len(files) == 1 and files[0].is_file() else channel


def _to_arguments(job: Job) -> list[str]:
    """The arguments of `onnxlet`.

    Raises:
        SettingsError: no recipe, or a parameter that `onnxlet train` has not.
    """
    parameters = {name.replace("_", "-"): str(value) for name, value in job.parameters.items()}
    recipe = parameters.pop("recipe", None)
    if recipe is None:
        raise SettingsError("recipe: expected a recipe's name among the hyperparameters, got nothing")
    arguments = ["train", recipe, "--out", str(job.run)]
    for name, value in parameters.items():
        if name in OPTIONS:
            arguments += [f"--{name}", value]
        elif name in FLAGS:
            arguments += [f"--{name}"] if value.lower() in TRUE else []
        else:
            raise SettingsError(f"{name}: expected one of {', '.join((*OPTIONS, *FLAGS))}")
    return arguments


def _train(command: Sequence[str]) -> tuple[int, str]:
    """Run a command and pass SIGTERM on to it; gives its exit code and its last line."""
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:

        def forward(number: int, _frame: FrameType | None) -> None:
            process.send_signal(number)

        before = signal.signal(signal.SIGTERM, forward)
        last = ""
        assert process.stderr is not None, "it was asked for"
        for line in process.stderr:
            sys.stderr.write(line)
            last = line.strip() or last
        code = process.wait()
        signal.signal(signal.SIGTERM, before)
    return code, last


def _hand_over(run: Path, results: Path) -> None:
    """Copy what is worth keeping of a run; the model itself is in the registry already."""
    results.mkdir(parents=True, exist_ok=True)
    for pattern in ("*.onnx", "run.json", "report.html"):
        for path in run.glob(pattern):
            shutil.copyfile(path, results / path.name)


def _fail(error: Exception, environment: Mapping[str, Any]) -> int:
    """Tell why the job could not even begin."""
    root = Path(environment.get("SAGEMAKER_ROOT", SAGEMAKER_ROOT))
    sys.stderr.write(f"onnxlet: {error}\n")
    if (root / "output").is_dir():
        (root / "output/failure").write_text(str(error)[:MAX_FAILURE_CHARACTERS])
    return 1


if __name__ == "__main__":
    try:
        sys.exit(main([each for each in sys.argv[1:] if each != "train"], os.environ))
    except (SettingsError, OSError, ValueError) as problem:
        sys.exit(_fail(problem, os.environ))
