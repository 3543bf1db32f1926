"""The platforms: where SageMaker and Vertex AI describe a job to its container."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from onnxlet_publishing.errors import UsageError
from onnxlet_training.container.job import ContainerJob

SAGEMAKER_ROOT = Path("/opt/ml")
MOUNTED_BUCKETS = Path("/gcs")
"""The folder in which Vertex AI mounts all buckets that the job may read."""
CHANNEL = "training"
"""The channel with the data, if a job has several channels."""
FOREIGN = ("sagemaker_", "_")
"""Prefixes of hyperparameters that SageMaker's SDK and tuner add."""


def sagemaker_root(environment: Mapping[str, str]) -> Path | None:
    """Return SageMaker's folder; None on another platform."""
    root = Path(environment.get("SAGEMAKER_ROOT", SAGEMAKER_ROOT))
    return root if (root / "input/config").is_dir() else None


def failure_file(root: Path) -> Path:
    """Return the file in which SageMaker looks for the reason of a failure."""
    return root / "output/failure"


def sagemaker_job(root: Path, gpus: int) -> ContainerJob:
    """Read a job of SageMaker: hyperparameters are texts, a channel has the data, checkpoints outlive the instance."""
    given = _document(root / "input/config/hyperparameters.json")
    parameters = _options({name: str(value) for name, value in given.items()})
    channels = sorted(path for path in (root / "input/data").glob("*") if path.is_dir())
    if channels and "data" not in parameters:
        named = [path for path in channels if path.name == CHANNEL]
        parameters["data"] = str(_only_file((named or channels)[0]))
    resources = _document(root / "input/config/resourceconfig.json")
    hosts = tuple(sorted(resources.get("hosts", ())))
    return ContainerJob(
        parameters=parameters,
        run=root / "checkpoints/run",
        results=root / "model",
        failure=failure_file(root),
        hosts=hosts,
        rank=hosts.index(resources["current_host"]) if hosts else 0,
        gpus=gpus,
    )


def vertex_job(arguments: Sequence[str], environment: Mapping[str, str], gpus: int) -> ContainerJob:
    """Read a job of Vertex AI: arguments are `--name=value`, folders are URLs of buckets, which are mounted.

    Raises:
        UsageError: an argument has another form.
    """
    given = {}
    for argument in arguments:
        name, separator, value = argument.removeprefix("--").partition("=")
        if not argument.startswith("--") or not separator:
            raise UsageError(f"{argument!r}: expected --name=value")
        given[name] = value
    parameters = _options(given)
    mounted = Path(environment.get("MOUNTED_BUCKETS", MOUNTED_BUCKETS))
    if parameters.get("data", "").startswith("gs://"):
        # `onnxlet train` would download the data into the run's folder, which is itself in a bucket.
        parameters["data"] = str(_mounted(parameters["data"], mounted))
    checkpoints = _mounted(environment.get("AIP_CHECKPOINT_DIR"), mounted)
    hosts, rank = _vertex_machines(json.loads(environment.get("CLUSTER_SPEC") or "{}"))
    return ContainerJob(
        parameters=parameters,
        run=(checkpoints or Path.cwd()) / "run",
        results=_mounted(environment.get("AIP_MODEL_DIR"), mounted),
        curves=_mounted(environment.get("AIP_TENSORBOARD_LOG_DIR"), mounted),
        hosts=hosts,
        rank=rank,
        gpus=gpus,
    )


def _vertex_machines(spec: Mapping[str, Any]) -> tuple[tuple[str, ...], int]:
    """Return the machines of all pools in order, and this machine's position.

    Source: Vertex AI, "Distributed training", `CLUSTER_SPEC`.
    """
    pools, task = spec.get("cluster", {}), spec.get("task", {})
    hosts = tuple(address.partition(":")[0] for pool in sorted(pools) for address in pools[pool])
    before = sum(len(pools[pool]) for pool in pools if pool < task.get("type", ""))
    return hosts, before + int(task.get("index", 0))


def _document(path: Path) -> dict[str, Any]:
    """Read a JSON object; return an empty one if the file does not exist."""
    return dict(json.loads(path.read_text())) if path.exists() else {}


def _options(parameters: Mapping[str, str]) -> dict[str, str]:
    """Return parameters under the names of options, without the platform's own parameters."""
    own = {name: value for name, value in parameters.items() if not name.startswith(FOREIGN)}
    return {name.replace("_", "-"): value for name, value in own.items()}


def _mounted(url: str | None, mounted: Path) -> Path | None:
    return None if not url else mounted / url.removeprefix("gs://").rstrip("/")


def _only_file(channel: Path) -> Path:
    """Return a channel's only file, or the channel if it has several files."""
    files = list(channel.iterdir())
    return files[0] if len(files) == 1 and files[0].is_file() else channel
