"""The processes that train one PyTorch network together, as `torchrun` starts them.

Source: PyTorch, "torchrun", "Distributed communication package".
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import distributed

from onnxlet_training.checkpoint import listening_for_stop
from onnxlet_training.networks.processes import TORCHRUN_RANK, Processes


@dataclass(frozen=True)
class TorchProcesses(Processes):
    """Several processes that PyTorch connects."""

    def agree(self, data: bytes) -> bytes:
        """Broadcast the first process's data."""
        shared = [data]
        distributed.broadcast_object_list(shared, device=this_device())
        return shared[0]

    def must_stop(self, step: int) -> bool:  # noqa: ARG002 - the base's
        """Return whether any process got SIGTERM."""
        stopped = torch.tensor(int(self.stop.is_set), device=this_device())
        distributed.all_reduce(stopped, distributed.ReduceOp.MAX)
        return bool(stopped)


@contextmanager
def joined() -> Iterator[Processes]:
    """Join the job that `torchrun` started; without `torchrun` this is the only process."""
    with listening_for_stop() as stop:
        if TORCHRUN_RANK not in os.environ:
            yield Processes(stop=stop)
            return
        distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
        try:
            count = distributed.get_world_size()
            yield TorchProcesses(distributed.get_rank(), count, count, stop)
            distributed.barrier()
        finally:
            distributed.destroy_process_group()


def share_gradients(module: torch.nn.Module) -> None:
    """Replace every process's gradients by their mean over all processes.

    `DistributedDataParallel` does the same, but cannot wrap every step here: two networks against each other, or a
    state that is carried through time.
    """
    if distributed.is_initialized():
        for parameter in module.parameters():
            if parameter.grad is not None:
                distributed.all_reduce(parameter.grad)
                parameter.grad /= distributed.get_world_size()


def this_device() -> torch.device:
    """Return this process's GPU, or the CPU."""
    return torch.device(f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if torch.cuda.is_available() else "cpu")
