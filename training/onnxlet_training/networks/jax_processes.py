"""The processes that train one Keras network together, through JAX's distributed runtime.

Each process drives the devices of its machine; a batch is divided among all devices, and JAX sums the gradients
(NCCL between GPUs, Gloo between CPUs). Keras's own variables describe the job.

Source: Keras, `keras.distribution.initialize`, `DataParallel`; JAX, "Introduction to multi-controller JAX".
"""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from onnxlet_publishing.errors import UsageError
from onnxlet_training.checkpoint import listening_for_stop
from onnxlet_training.errors import InterruptedRunError
from onnxlet_training.networks.processes import ADDRESSES, COUNT, RANK, TORCHRUN_COUNT, Processes


@dataclass(frozen=True)
class JaxProcesses(Processes):
    """Several processes that JAX connects."""

    def agree(self, data: bytes) -> bytes:
        """Broadcast the first process's data."""
        from jax.experimental.multihost_utils import broadcast_one_to_all

        size = int(broadcast_one_to_all(np.array(len(data))))
        buffer = np.zeros(size, np.uint8)
        if self.is_first:
            buffer[:] = np.frombuffer(data, np.uint8)
        return bytes(np.asarray(broadcast_one_to_all(buffer))) if size else b""

    def must_stop(self, step: int) -> bool:
        """Return whether any process got SIGTERM; JAX makes this true in all of them after the same step."""
        from jax.experimental.multihost_utils import reached_preemption_sync_point

        return bool(reached_preemption_sync_point(step))


@contextmanager
def joined() -> Iterator[Processes]:
    """Join the job that the environment describes, and use all devices.

    Variables that Keras creates while the context lasts are the same on every device.

    Raises:
        UsageError: the backend or the launcher cannot share a Keras network, or a variable is missing.
        InterruptedRunError: the processes lost one another, most often because one of them ended.
    """
    count = int(os.environ.get(COUNT, "1"))
    _check(keras.backend.backend(), count)
    if count == 1:
        with _all_devices() as devices, listening_for_stop() as stop:
            yield Processes(devices=devices, stop=stop)
        return
    import jax

    before = signal.getsignal(signal.SIGTERM)
    try:
        keras.distribution.initialize()  # JAX listens for SIGTERM from here on
        _connect()
        with _all_devices() as devices:
            yield JaxProcesses(jax.process_index(), count, devices)
        # Not after a failure: the others might wait for it. The connections are closed when this process ends.
        jax.distributed.shutdown()
    except jax.errors.JaxRuntimeError as error:
        reason = str(error).partition("\n")[0]
        raise InterruptedRunError(f"the job's processes have lost one another: {reason}") from error
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


@contextmanager
def separated() -> Iterator[None]:
    """Work without the other processes: Keras creates variables even while it saves, and waits for all processes."""
    before = keras.distribution.distribution()
    keras.distribution.set_distribution(None)
    try:
        yield
    finally:
        keras.distribution.set_distribution(before)


def _check(backend: str, count: int) -> None:
    if count > 1 and backend != "jax":
        raise UsageError(f"{COUNT}={count}: Keras shares a job on JAX only: KERAS_BACKEND=jax, got {backend}")
    missing = [name for name in (ADDRESSES, RANK) if name not in os.environ]
    if count > 1 and missing:
        raise UsageError(f"{COUNT}={count}: expected {' and '.join(missing)} to be set as well, got nothing")
    if count == 1 and int(os.environ.get(TORCHRUN_COUNT, "1")) > 1:
        raise UsageError(f"a Keras recipe shares a job on JAX through {COUNT} and its like, not through torchrun")


@contextmanager
def _all_devices() -> Iterator[int]:
    """Divide batches among JAX's devices if there are several, and return their number."""
    if keras.backend.backend() != "jax":
        yield 1
        return
    import jax

    devices = jax.device_count()
    if devices == 1:
        yield devices
        return
    shared: Any = keras.distribution.DataParallel(auto_shard_dataset=False)  # the feed gives each process its rows
    with shared.scope():
        yield devices


def _connect() -> None:
    """Exchange a first message. Gloo reports it on the standard output, which is for results."""
    from jax.experimental.multihost_utils import sync_global_devices

    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        sync_global_devices("joined")
    finally:
        os.dup2(kept, 1)
        os.close(kept)
