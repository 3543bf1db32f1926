"""The processes that train one Keras network together: JAX's own distributed runtime, joined through Keras.

Each process drives the devices of its machine; a batch is divided among the devices of all, and JAX sums the gradients
(NCCL between GPUs, Gloo between CPUs). The environment describes the job in Keras's own variables.

Source: Keras, `keras.distribution.initialize`, `DataParallel`; JAX, "Introduction to multi-controller JAX".
"""

import math
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from onnxlet.errors import SettingsError
from onnxlet_training.checkpoint import InterruptedRunError

ADDRESSES, COUNT, RANK = (f"KERAS_DISTRIBUTION_{name}" for name in ("JOB_ADDRESSES", "NUM_PROCESSES", "PROCESS_ID"))
"""Keras's variables: where the first process listens (`host:port`), how many they are, and which of them this is."""
TORCHRUN_RANK, TORCHRUN_COUNT = "RANK", "WORLD_SIZE"
"""What `torchrun` sets, and some platforms for it: not for us where Keras's own are there."""


@dataclass(frozen=True)
class Processes:
    """This process among all of a job, and their devices; alone where there is but one."""

    rank: int = 0
    count: int = 1
    devices: int = 1
    """Of all processes together; each has as many as any other."""

    @property
    def is_first(self) -> bool:
        """Whether this process keeps what is made: checkpoints, logs, the model."""
        return self.rank == 0

    def rows(self, batch_rows: int) -> int:
        """How many rows of a batch are this process's; a batch that the devices cannot share evenly gets larger."""
        return math.ceil(batch_rows / self.devices) * self.devices // self.count

    def agree(self, data: bytes) -> bytes:
        """What the first process gives, in all of them, which must all ask."""
        if self.count == 1:
            return data
        from jax.experimental.multihost_utils import broadcast_one_to_all

        size = int(broadcast_one_to_all(np.array(len(data))))
        buffer = np.zeros(size, np.uint8)
        if self.is_first:
            buffer[:] = np.frombuffer(data, np.uint8)
        return bytes(np.asarray(broadcast_one_to_all(buffer))) if size else b""

    def shall_stop(self, step: int) -> bool:
        """Whether a process got SIGTERM: true in all of them after the same step. All must ask after each step."""
        if self.count == 1:
            return False
        from jax.experimental.multihost_utils import reached_preemption_sync_point

        return bool(reached_preemption_sync_point(step))


def is_first(environment: Mapping[str, str]) -> bool:
    """Return whether a process is the first of its job, or alone, by the variables of its launcher."""
    return (environment.get(RANK) or environment.get(TORCHRUN_RANK) or "0") == "0"


@contextmanager
def joined() -> Iterator[Processes]:
    """Join the other processes of the job, where the environment names any, and use all devices that there are.

    Variables that Keras makes while the context lasts are the same on every device.

    Raises:
        SettingsError: several processes, on a backend or by a launcher that does not share a Keras network, or without
            what tells where they are.
        InterruptedRunError: what the processes do together failed, most often because one of them has ended.
    """
    import keras

    count = int(os.environ.get(COUNT, "1"))
    _check(keras.backend.backend(), count)
    if keras.backend.backend() != "jax":
        yield Processes()
        return
    import jax

    if count == 1:
        with _sharing(jax.device_count()):
            yield Processes(devices=jax.device_count())
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        keras.distribution.initialize()  # JAX listens for SIGTERM from here on
        _connect()
        with _sharing(jax.device_count()):
            yield Processes(jax.process_index(), count, jax.device_count())
        # Not after a failure: the others might wait for it. The connections are closed when this process ends.
        jax.distributed.shutdown()
    except jax.errors.JaxRuntimeError as error:
        reason = str(error).partition("\n")[0]
        raise InterruptedRunError(f"the job's processes have lost one another: {reason}") from error
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


@contextmanager
def alone() -> Iterator[None]:
    """Do without the others: Keras makes variables even while it saves, and in a shared network waits for all to."""
    import keras

    before = keras.distribution.distribution()
    keras.distribution.set_distribution(None)
    try:
        yield
    finally:
        keras.distribution.set_distribution(before)


def _check(backend: str, count: int) -> None:
    if count > 1 and backend != "jax":
        raise SettingsError(f"{COUNT}={count}: Keras shares a job on JAX only: KERAS_BACKEND=jax, got {backend}")
    missing = [name for name in (ADDRESSES, RANK) if name not in os.environ]
    if count > 1 and missing:
        raise SettingsError(f"{COUNT}={count}: expected {' and '.join(missing)} beside it, got nothing")
    if count == 1 and int(os.environ.get(TORCHRUN_COUNT, "1")) > 1:
        raise SettingsError(f"a recipe of Keras shares a job by {COUNT} and the like on JAX, not by torchrun")


@contextmanager
def _sharing(devices: int) -> Iterator[None]:
    """Divide batches among the devices, where there are several."""
    import keras

    if devices == 1:
        yield
        return
    shared: Any = keras.distribution.DataParallel(auto_shard_dataset=False)  # the feed knows whose rows are whose
    with shared.scope():
        yield


def _connect() -> None:
    """Exchange a first word. Gloo tells of it on the standard output, which is for results."""
    from jax.experimental.multihost_utils import sync_global_devices

    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        sync_global_devices("joined")
    finally:
        os.dup2(kept, 1)
        os.close(kept)
