"""The drive: a catalogue, a real runtime, its clients and its updates, for as long as it shall take."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from onnxlet.registry.registry import Registry
from onnxlet.storage import open_store
from onnxlet_cli.local.serve import CLOUDS
from tests.soak import memory
from tests.soak.catalogue import DIGITS, Ledger, prepare
from tests.soak.clients import Client, Tally
from tests.soak.questions import ask_all
from tests.soak.updates import Updates

if TYPE_CHECKING:
    from pathlib import Path

    from tests.soak.catalogue import Size
    from tests.soak.memory import Sample

MAX_CLIENTS = 256
MAX_SECONDS = 2 * 60 * 60
MAX_LOG_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True)
class Plan:
    """How much load, on what, and for how long."""

    cloud: str
    seconds: float
    clients: int
    update_s: float
    """Between two live updates."""
    size: Size
    refresh_s: float = 1
    """ONNXLET_REFRESH_S."""
    changes: int | None = None
    """After so many live updates it ends, before its time."""

    def __post_init__(self) -> None:
        if not 0 < self.seconds <= MAX_SECONDS:
            raise ValueError(f"seconds: expected up to {MAX_SECONDS}, got {self.seconds}")
        if not 0 < self.clients <= MAX_CLIENTS:
            raise ValueError(f"clients: expected up to {MAX_CLIENTS}, got {self.clients}")


@dataclass(frozen=True)
class Outcome:
    """What came of it."""

    plan: Plan
    seconds: float
    """That the clients have asked for."""
    tally: Tally
    updates: dict[str, int]
    """How often each change was made."""
    canaries: int
    """That were seen to answer."""
    samples: list[Sample]
    """The memory of the function's process."""
    failures: list[str]
    """Those of requests, the first of them, and of anything else."""


def drive(plan: Plan, folder: Path) -> Outcome:
    """Publish the catalogue, serve it, and ask while it changes.

    Args:
        plan: How much, and for how long.
        folder: Empty; for the registry and the function's log.
    """
    catalogue, ledger, is_over = prepare(plan.size), Ledger(), threading.Event()
    questions = ask_all(catalogue)
    root, log_path = folder / "registry", folder / "log"
    registry = Registry(open_store(root.as_uri(), create=True))
    updates = Updates(registry, root, catalogue, ledger, is_over, plan.update_s, plan.changes)
    updates.publish_first()
    start_http = CLOUDS[plan.cloud][0]
    others = memory.own_descendants()
    with log_path.open("ab") as log, start_http(_environment(plan, root), 0, log) as url:
        first = Client(url, questions, ledger, is_over, seed=-1)
        first.ask(next(question for question in questions if question.model == DIGITS))  # it is ready
        process_id = memory.largest_of(memory.own_descendants() - others)
        watch = memory.Watch(process_id, is_over, lambda: _bound(log_path))
        clients = [Client(url, questions, ledger, is_over, seed) for seed in range(plan.clients)]
        started_s = time.monotonic()
        for thread in (*clients, updates, watch):
            thread.start()
        try:
            is_over.wait(plan.seconds)
        finally:
            is_over.set()
        for thread in (*clients, updates, watch):
            thread.join()
        seconds = time.monotonic() - started_s
    tally = Tally()
    for client in (first, *clients):
        tally.merge(client.tally)
    canaries = len(updates.canaries & tally.versions.keys())
    failures = list(tally.failures)
    if updates.error is not None:
        failures.append(f"the updates ended: {updates.error!r}")
    if watch.is_lost:
        failures.append("the function's process ended")
    return Outcome(plan, seconds, tally, dict(updates.done), canaries, watch.samples, failures)


def _environment(plan: Plan, root: Path) -> dict[str, str]:
    bound_mib = plan.size.memory_mib
    return {
        "ONNXLET_REGISTRY": root.as_uri(),
        "ONNXLET_MODEL": DIGITS,
        "ONNXLET_REFRESH_S": str(plan.refresh_s),
        "ONNXLET_MEMORY_MIB": "" if bound_mib is None else str(bound_mib),
    }


def _bound(log: Path) -> None:
    """Empty a log that has grown too long; its writer appends."""
    if log.stat().st_size > MAX_LOG_BYTES:
        os.truncate(log, 0)
