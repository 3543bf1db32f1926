"""The processes of a training job: this process's share of the work, and what all processes agree on."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from onnxlet_training.checkpoint import StopSignal

ADDRESSES, COUNT, RANK = (f"KERAS_DISTRIBUTION_{name}" for name in ("JOB_ADDRESSES", "NUM_PROCESSES", "PROCESS_ID"))
"""Keras's variables: the address of the first process (`host:port`), the number of processes, this one's number."""
TORCHRUN_RANK, TORCHRUN_COUNT = "RANK", "WORLD_SIZE"
"""The variables of `torchrun`, which some platforms set too; Keras's own variables take precedence."""


@dataclass(frozen=True)
class Processes:
    """This process among all processes of its job, and their devices; by default the only process.

    Each framework that trains with several processes has a subclass.
    """

    rank: int = 0
    count: int = 1
    devices: int = 1
    """The devices of all processes together; each process has the same number."""
    stop: StopSignal = field(default_factory=StopSignal)

    @property
    def is_first(self) -> bool:
        """Whether this process keeps the results: checkpoints, logs, the model."""
        return self.rank == 0

    def rows(self, batch_rows: int) -> int:
        """Return this process's rows of a batch, which grows until all devices have equally many."""
        return math.ceil(batch_rows / self.devices) * self.devices // self.count

    def agree(self, data: bytes) -> bytes:
        """Return the first process's data in every process; every process must call this."""
        return data

    def must_stop(self, step: int) -> bool:  # noqa: ARG002 - of the subclasses
        """Return whether any process was asked to end, with the same result in every process.

        Every process must call this after each step.
        """
        return self.stop.is_set


def is_first(environment: Mapping[str, str]) -> bool:
    """Return whether the variables of a launcher describe the first process of a job, or the only one."""
    return (environment.get(RANK) or environment.get(TORCHRUN_RANK) or "0") == "0"
