"""Statistics: how often each version was asked, and how long each step took."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from onnxlet.contract.manifest import Manifest

NANOSECONDS = 1e9

MAX_COUNTED = 1000
"""Versions: where they come for months, those that have not answered for longest are forgotten."""

_STEPS = {"decode": "compute_input", "run": "compute_infer", "encode": "compute_output"}
"""The steps of a request, with Triton's names for them."""


@dataclass(slots=True)
class Counted:
    """What a model has answered in this process."""

    successes: int = 0
    failures: int = 0
    success_s: float = 0.0
    failure_s: float = 0.0
    steps_s: dict[str, float] = field(default_factory=lambda: dict.fromkeys(_STEPS, 0.0))
    last_ms: int = 0
    """Unix time."""


class Statistics:
    """What this process has answered, by model and version. Safe for threads."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._lock = threading.Lock()
        self._counted: dict[tuple[str, int], Counted] = {}

    def record(self, manifest: Manifest, *, is_success: bool, total_s: float, steps: Mapping[str, float]) -> None:
        """Count one request that a model was found for, with the seconds of its steps."""
        key = (manifest.model, manifest.version)
        with self._lock:
            counted = self._counted.get(key) or self._begin(key)
            if is_success:
                counted.successes += 1
                counted.success_s += total_s
                counted.last_ms = int(time.time() * 1000)
                for step in _STEPS:
                    counted.steps_s[step] += steps.get(step, 0.0)
            else:
                counted.failures += 1
                counted.failure_s += total_s

    def _begin(self, key: tuple[str, int]) -> Counted:
        """Count from now on for this version. The caller holds the lock."""
        if len(self._counted) >= MAX_COUNTED:
            del self._counted[min(self._counted, key=lambda each: self._counted[each].last_ms)]
        return self._counted.setdefault(key, Counted())

    def to_document(self, model: str | None, version: int | None, is_visible: Callable[[str], bool]) -> dict[str, Any]:
        """The statistics of one version, of one model, or of all that were asked, as far as the models are visible."""
        with self._lock:
            keys = [key for key in sorted(self._counted) if model in {None, key[0]} and version in {None, key[1]}]
            return {"model_stats": [_model_statistics(key, self._counted[key]) for key in keys if is_visible(key[0])]}


def _model_statistics(key: tuple[str, int], counted: Counted) -> dict[str, Any]:
    durations = {
        "success": _duration(counted.successes, counted.success_s),
        "fail": _duration(counted.failures, counted.failure_s),
        "queue": _duration(counted.successes, 0.0),
        **{name: _duration(counted.successes, counted.steps_s[step]) for step, name in _STEPS.items()},
    }
    return {
        "name": key[0],
        "version": str(key[1]),
        "last_inference": counted.last_ms,
        "inference_count": counted.successes,
        "execution_count": counted.successes,
        "inference_stats": durations,
    }


def _duration(count: int, seconds: float) -> dict[str, int]:
    return {"count": count, "ns": int(seconds * NANOSECONDS)}
