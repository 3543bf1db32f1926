"""The container's entry point: what SageMaker or Vertex AI gives a training job, as one call of `onnxlet train`.

Source: Amazon SageMaker developer guide, "How Amazon SageMaker provides training information" and "Managed spot
training"; Vertex AI, "Environment variables for special Cloud Storage directories" and "Cloud Storage as a mounted file
system" (`/gcs`).
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from onnxlet.errors import OnnxletError, SettingsError
from onnxlet_publishing.errors import CommandError
from onnxlet_training.networks import processes

SAGEMAKER_ROOT = Path("/opt/ml")
MOUNTED_BUCKETS = Path("/gcs")
"""Where Vertex AI mounts all buckets that the job may read."""
DEVICES = Path("/dev")
"""Where Linux shows each of NVIDIA's GPUs as a file: `nvidia0`, `nvidia1` ..."""

DRIVER = Path("/proc/driver/nvidia/version")
"""The file in which the host's NVIDIA driver says its version."""
COMPAT = Path("/usr/local/cuda/compat")
"""The folder in which NVIDIA's images keep a newer driver's libraries, for hosts with an older driver."""
_DRIVER_VERSION = re.compile(r"Kernel Module\b.*?\s(\d+)(?:\.\d+)+")
_LIBRARY_VERSION = re.compile(r"libcuda\.so\.(\d+)(?:\.\d+)+")

PROOF = "may-write-here"
"""The file by which a job proves that it can write, rename and delete in the run's folder."""

JAX_PORT = 8476
"""Where the first machine's process listens for the others'; the port that JAX itself takes on Cloud TPUs."""

CHANNEL = "training"
"""The channel with the data, where a job has several."""

OPTIONS = ("data", "epochs", "seed", "gpu", "max-accuracy-drop", "registry")
FLAGS = ("fast", "compress", "stage", "force")
"""Of `onnxlet train`, given as `true` or `false`."""

FOREIGN = ("sagemaker_", "_")
"""How the names of hyperparameters begin that SageMaker's own SDK and tuner add."""

TRUE = ("true", "1", "yes")
MAX_FAILURE_CHARACTERS = 1024
"""Of what SageMaker shows of a failure."""

COMMAND = (sys.executable, "-m", "onnxlet_cli.main")


@dataclass(frozen=True)
class Job:
    """What a platform asks for, and where it wants things."""

    parameters: Mapping[str, str]
    """`recipe`, and options of `onnxlet train` by their names, with hyphens."""
    run: Path
    """The run's folder, which the platform keeps when the job is interrupted."""
    results: Path | None
    """Where it takes the model and the report from."""
    failure: Path | None = None
    """Where it reads why a job failed."""
    curves: Path | None = None
    """Where its TensorBoard reads."""
    hosts: tuple[str, ...] = ()
    """The job's machines, the leading one first; none where there is but this one."""
    rank: int = 0
    """Which of them this is."""
    gpus: int = 0
    """How many this machine has."""


def main(arguments: Sequence[str], environment: Mapping[str, str], command: Sequence[str] = COMMAND) -> int:
    """Run the job; gives the exit code.

    Raises:
        SettingsError: no recipe, a parameter that `onnxlet train` has not, or a folder that cannot be written.
    """
    root = Path(environment.get("SAGEMAKER_ROOT", SAGEMAKER_ROOT))
    gpus = _count_gpus(Path(environment.get("DEVICES", DEVICES)))
    is_sagemaker = (root / "input/config").is_dir()
    job = _sagemaker_job(root, gpus) if is_sagemaker else _vertex_job(arguments, environment, gpus)
    launcher = _launcher(job)
    program = command[1:] if launcher else command  # the launcher starts Python itself
    options = _to_arguments(job)
    _check_run(job.run, job.rank)
    variables = {**environment, **_variables(job), **_compat(environment)}
    code, reason = _train([*launcher, *program, *options], variables)
    if code != 0 and job.failure is not None:
        _write_failure(job.failure, reason)
    if code == 0 and job.rank == 0:
        _hand_over(job)
    return code


def _sagemaker_job(root: Path, gpus: int) -> Job:
    """Hyperparameters are strings; a channel is the data; checkpoints outlive an interrupted spot instance."""
    given = _document(root / "input/config/hyperparameters.json")
    parameters = _named({name: str(value) for name, value in given.items()})
    channels = sorted(each for each in (root / "input/data").glob("*") if each.is_dir())
    if channels and "data" not in parameters:
        named = [each for each in channels if each.name == CHANNEL]
        parameters["data"] = str(_only_file((named or channels)[0]))
    resources = _document(root / "input/config/resourceconfig.json")
    hosts = tuple(sorted(resources.get("hosts", ())))
    return Job(
        parameters=parameters,
        run=root / "checkpoints/run",
        results=root / "model",
        failure=root / "output/failure",
        hosts=hosts,
        rank=hosts.index(resources["current_host"]) if hosts else 0,
        gpus=gpus,
    )


def _vertex_job(arguments: Sequence[str], environment: Mapping[str, str], gpus: int) -> Job:
    """Arguments are `--name=value`; the directories are URLs of buckets, which are mounted, and so may be the data."""
    given = {}
    for argument in arguments:
        name, separator, value = argument.removeprefix("--").partition("=")
        if not argument.startswith("--") or not separator:
            raise SettingsError(f"{argument!r}: expected --name=value")
        given[name] = value
    parameters = _named(given)
    mounted = Path(environment.get("MOUNTED_BUCKETS", MOUNTED_BUCKETS))
    if parameters.get("data", "").startswith("gs://"):
        # Fetched into the run's folder, as `onnxlet train` would, it would go straight back into a bucket.
        parameters["data"] = str(_mounted(parameters["data"], mounted))
    checkpoints = _mounted(environment.get("AIP_CHECKPOINT_DIR"), mounted)
    hosts, rank = _vertex_machines(json.loads(environment.get("CLUSTER_SPEC") or "{}"))
    return Job(
        parameters=parameters,
        run=(checkpoints or Path.cwd()) / "run",
        results=_mounted(environment.get("AIP_MODEL_DIR"), mounted),
        curves=_mounted(environment.get("AIP_TENSORBOARD_LOG_DIR"), mounted),
        hosts=hosts,
        rank=rank,
        gpus=gpus,
    )


def _vertex_machines(spec: Mapping[str, Any]) -> tuple[tuple[str, ...], int]:
    """The machines of all pools in their order, and which of them this is.

    Source: Vertex AI, "Distributed training", `CLUSTER_SPEC`.
    """
    pools, task = spec.get("cluster", {}), spec.get("task", {})
    hosts = tuple(address.partition(":")[0] for pool in sorted(pools) for address in pools[pool])
    before = sum(len(pools[pool]) for pool in pools if pool < task.get("type", ""))
    return hosts, before + int(task.get("index", 0))


def _document(path: Path) -> dict[str, Any]:
    """A JSON object; an empty one where there is no such file."""
    return dict(json.loads(path.read_text())) if path.exists() else {}


def _named(parameters: Mapping[str, str]) -> dict[str, str]:
    """Parameters by the names of options, without those that are not ours."""
    ours = {name: value for name, value in parameters.items() if not name.startswith(FOREIGN)}
    return {name.replace("_", "-"): value for name, value in ours.items()}


def _mounted(url: str | None, mounted: Path) -> Path | None:
    return None if not url else mounted / url.removeprefix("gs://").rstrip("/")


def _only_file(channel: Path) -> Path:
    """A channel's one file, or the channel where it holds more."""
    files = list(channel.iterdir())
    return files[0] if len(files) == 1 and files[0].is_file() else channel


def _check_run(folder: Path, rank: int) -> None:
    """Make the run's folder and do there what checkpoints do, before a training that could not keep any.

    Raises:
        SettingsError: the folder cannot be written; it may be a bucket that the platform has mounted.
    """
    proof = folder / f"{PROOF}-{rank}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        proof.with_suffix(".part").write_text("A job may write here.\n")
        proof.with_suffix(".part").rename(proof)
        proof.unlink()
    except OSError as error:
        raise SettingsError(
            f"{folder}: checkpoints could not be kept there, so nothing was trained: {error.strerror}; the job's role "
            "or service account needs to create, read, replace and delete objects there"
        ) from error


def _compat(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the loader's path with CUDA's compatibility libraries first, if the host's driver is of an older branch.

    A driver of the same or of a newer branch must not be given them: CUDA then refuses the combination (error 803).

    Source: NVIDIA, "CUDA Compatibility"; NVIDIA Container Toolkit, the hook `enable-cuda-compat`, which not every host
    has; Amazon SageMaker developer guide, "Containers with custom CUDA".
    """
    folder = Path(environment.get("COMPAT", COMPAT))
    driver = _driver_branch(Path(environment.get("DRIVER", DRIVER)))
    found = [match[1] for path in folder.glob("libcuda.so.*") if (match := _LIBRARY_VERSION.fullmatch(path.name))]
    if driver is None or not found or driver >= max(map(int, found)):
        return {}
    before = environment.get("LD_LIBRARY_PATH")
    return {"LD_LIBRARY_PATH": f"{folder}:{before}" if before else str(folder)}


def _driver_branch(path: Path) -> int | None:
    """Return the first number of the host driver's version; None where there is no driver."""
    try:
        match = _DRIVER_VERSION.search(path.read_text(errors="replace"))
    except OSError:
        return None
    return int(match[1]) if match else None


def _count_gpus(devices: Path) -> int:
    return len(list(devices.glob("nvidia[0-9]*")))


def _launcher(job: Job) -> list[str]:
    """`torchrun` for PyTorch's recipes where there are several machines or GPUs; nothing else needs any.

    Source: PyTorch, "torchrun".
    """
    if max(len(job.hosts), job.gpus) < 2 or _framework(job) != "torch":
        return []
    hosts = job.hosts if len(job.hosts) > 1 else ("127.0.0.1",)
    place = ["--nnodes", str(len(hosts)), "--node-rank", str(job.rank), "--master-addr", hosts[0]]
    return [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(max(1, job.gpus)), *place]


def _variables(job: Job) -> dict[str, str]:
    """For Keras's recipes on several machines: a process for each, with all GPUs of it, led together by JAX."""
    if len(job.hosts) < 2 or _framework(job) != "keras":
        return {}
    return {
        "KERAS_BACKEND": "jax",
        processes.ADDRESSES: f"{job.hosts[0]}:{JAX_PORT}",
        processes.COUNT: str(len(job.hosts)),
        processes.RANK: str(job.rank),
    }


def _framework(job: Job) -> str | None:
    """What a job's recipe trains with; None for one that is unknown, which `onnxlet train` tells better."""
    from onnxlet_training.recipes import RECIPES  # seconds, which a job on one GPU need not wait

    name = job.parameters.get("recipe", "")
    return RECIPES[name].network.framework if name in RECIPES else None


def _to_arguments(job: Job) -> list[str]:
    """The arguments of `onnxlet`.

    Raises:
        SettingsError: no recipe, or a parameter that `onnxlet train` has not.
    """
    parameters = dict(job.parameters)
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


def _train(command: Sequence[str], environment: Mapping[str, str]) -> tuple[int, str]:
    """Run a command and pass SIGTERM on to it; gives its exit code, and why it failed."""
    asked: list[int] = []
    process: subprocess.Popen[str] | None = None

    def forward(number: int, _frame: FrameType | None) -> None:
        asked.append(number)
        if process is not None:
            process.send_signal(number)

    # Listened for before there is anyone to tell: the first process of a container is not ended by SIGTERM by itself.
    before = signal.signal(signal.SIGTERM, forward)
    try:
        process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, errors="replace")
        if asked:
            process.send_signal(signal.SIGTERM)
        reason = _pass_on(process)
        code = process.wait()
    finally:
        signal.signal(signal.SIGTERM, before)
    if code < 0:
        # As a shell reports it. Nothing is written by a process that the kernel kills for want of memory.
        return 128 - code, f"the training was ended by {signal.Signals(-code).name}; {reason}".rstrip("; ")
    return code, reason


def _pass_on(process: "subprocess.Popen[str]") -> str:
    """Repeat what a process writes; gives its error: the last that `onnxlet` tells, else the last line."""
    last, told = "", ""
    assert process.stderr is not None, "it was asked for"
    with process.stderr:
        for line in process.stderr:
            sys.stderr.write(line)
            last = line.strip() or last
            told = last if last.startswith("onnxlet:") else told
    return told or last


def _write_failure(path: Path, reason: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(reason[:MAX_FAILURE_CHARACTERS])


def _hand_over(job: Job) -> None:
    """Copy what is worth keeping of a run; the model itself is in the registry already."""
    if job.results is not None:
        job.results.mkdir(parents=True, exist_ok=True)
        for pattern in ("*.onnx", "run.json", "report.html"):
            for path in job.run.glob(pattern):
                shutil.copyfile(path, job.results / path.name)
    curves = job.run / "tensorboard"
    if job.curves is not None and curves.is_dir():
        shutil.copytree(curves, job.curves, dirs_exist_ok=True)


def _fail(error: Exception, environment: Mapping[str, Any]) -> int:
    """Tell why the job could not even begin."""
    root = Path(environment.get("SAGEMAKER_ROOT", SAGEMAKER_ROOT))
    sys.stderr.write(f"onnxlet: {error}\n")
    if (root / "input/config").is_dir():
        _write_failure(root / "output/failure", f"onnxlet: {error}")
    return 1


if __name__ == "__main__":
    try:
        sys.exit(main([each for each in sys.argv[1:] if each != "train"], os.environ))
    except (CommandError, OnnxletError, OSError, ValueError) as problem:
        sys.exit(_fail(problem, os.environ))
