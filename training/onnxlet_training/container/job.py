"""The job of a container, in the same form for both platforms, as arguments of `onnxlet train`."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from onnxlet_publishing.errors import UsageError
from onnxlet_training.networks import processes

OPTIONS = ("data", "epochs", "seed", "gpu", "max-accuracy-drop", "registry")
"""Options of `onnxlet train` that a job may set."""
FLAGS = ("fast", "compress", "stage", "force")
"""Flags of `onnxlet train` that a job may set, as `true` or `false`."""
TRUE = ("true", "1", "yes")

JAX_PORT = 8476
"""The port on which the first machine's process listens for the others; JAX's own default on Cloud TPUs."""


@dataclass(frozen=True)
class ContainerJob:
    """A job as the platform describes it to the container."""

    parameters: Mapping[str, str]
    """`recipe`, and options of `onnxlet train` by name, with hyphens."""
    run: Path
    """The run's folder, which the platform keeps when the job is interrupted."""
    results: Path | None
    """The folder from which the platform takes the model and the report."""
    failure: Path | None = None
    """The file in which the platform looks for the reason of a failure."""
    curves: Path | None = None
    """The folder that the platform's TensorBoard reads."""
    hosts: tuple[str, ...] = ()
    """The job's machines, the leading one first; empty if there is only this machine."""
    rank: int = 0
    """This machine's position in `hosts`."""
    gpus: int = 0
    """The number of this machine's GPUs."""

    def arguments(self) -> list[str]:
        """Return the arguments of `onnxlet`.

        Raises:
            UsageError: there is no recipe, or a parameter that `onnxlet train` does not have.
        """
        parameters = dict(self.parameters)
        recipe = parameters.pop("recipe", None)
        if recipe is None:
            raise UsageError("recipe: expected a recipe's name among the hyperparameters, got nothing")
        arguments = ["train", recipe, "--out", str(self.run)]
        for name, value in parameters.items():
            if name in OPTIONS:
                arguments += [f"--{name}", value]
            elif name in FLAGS:
                arguments += [f"--{name}"] if value.lower() in TRUE else []
            else:
                raise UsageError(f"{name}: expected one of {', '.join((*OPTIONS, *FLAGS))}")
        return arguments

    def launcher(self) -> list[str]:
        """Return the call of `torchrun`, for a PyTorch recipe on several machines or GPUs; otherwise an empty list.

        Source: PyTorch, "torchrun".
        """
        if max(len(self.hosts), self.gpus) < 2 or self._framework() != "torch":
            return []
        hosts = self.hosts if len(self.hosts) > 1 else ("127.0.0.1",)
        place = ["--nnodes", str(len(hosts)), "--node-rank", str(self.rank), "--master-addr", hosts[0]]
        return [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(max(1, self.gpus)), *place]

    def variables(self) -> dict[str, str]:
        """Return the variables with which JAX connects a Keras recipe's machines: one process each, with all GPUs."""
        if len(self.hosts) < 2 or self._framework() != "keras":
            return {}
        return {
            "KERAS_BACKEND": "jax",
            processes.ADDRESSES: f"{self.hosts[0]}:{JAX_PORT}",
            processes.COUNT: str(len(self.hosts)),
            processes.RANK: str(self.rank),
        }

    def _framework(self) -> str | None:
        """Return the recipe's framework; None for an unknown recipe, which `onnxlet train` will refuse."""
        from onnxlet_training.recipes import RECIPES  # takes seconds, which a job on one GPU need not wait

        name = self.parameters.get("recipe", "")
        return RECIPES[name].network.framework if name in RECIPES else None
