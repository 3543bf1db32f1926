"""Statistics: how many requests each version has answered, and how long each step took."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from onnxlet.contract.manifest import Manifest

NANOSECONDS = 1e9

MAX_VERSIONS = 1000
"""The number of versions that are counted. A new version then replaces the one whose last success is the oldest."""

_STEPS = {"decode": "compute_input", "run": "compute_infer", "encode": "compute_output"}
"""The steps of a request, with Triton's names for them."""


class Totals:
    """The requests that a version has answered in this process."""

    __slots__ = ("failure_s", "failures", "last_ms", "steps_s", "success_s", "successes")

    def __init__(self) -> None:
        self.successes = 0
        self.failures = 0
        self.success_s = 0.0
        self.failure_s = 0.0
        self.steps_s = dict.fromkeys(_STEPS, 0.0)
        self.last_ms = 0
        """The Unix time of the last success."""


class Statistics:
    """The totals of this process by model and version. Safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._totals: dict[tuple[str, int], Totals] = {}

    def record(self, manifest: Manifest, *, is_success: bool, total_s: float, steps: Mapping[str, float]) -> None:
        """Count one request for a version, with the seconds that each of its steps took."""
        key = (manifest.model, manifest.version)
        with self._lock:
            totals = self._totals.get(key) or self._begin(key)
            if is_success:
                totals.successes += 1
                totals.success_s += total_s
                totals.last_ms = int(time.time() * 1000)
                for step in _STEPS:
                    totals.steps_s[step] += steps.get(step, 0.0)
            else:
                totals.failures += 1
                totals.failure_s += total_s

    def _begin(self, key: tuple[str, int]) -> Totals:
        """Start counting for a version. The caller holds the lock."""
        if len(self._totals) >= MAX_VERSIONS:
            del self._totals[min(self._totals, key=lambda version: self._totals[version].last_ms)]
        return self._totals.setdefault(key, Totals())

    def to_document(self, model: str | None, version: int | None, is_visible: Callable[[str], bool]) -> dict[str, Any]:
        """Return Triton's document of the statistics.

        Args:
            model: The model; None for all.
            version: The version of it; None for all.
            is_visible: Tells whether the client may see a model.
        """
        with self._lock:
            keys = [key for key in sorted(self._totals) if model in {None, key[0]} and version in {None, key[1]}]
            return {"model_stats": [_model_statistics(key, self._totals[key]) for key in keys if is_visible(key[0])]}


def _model_statistics(key: tuple[str, int], totals: Totals) -> dict[str, Any]:
    durations = {
        "success": _duration(totals.successes, totals.success_s),
        "fail": _duration(totals.failures, totals.failure_s),
        "queue": _duration(totals.successes, 0.0),
        **{name: _duration(totals.successes, totals.steps_s[step]) for step, name in _STEPS.items()},
    }
    return {
        "name": key[0],
        "version": str(key[1]),
        "last_inference": totals.last_ms,
        "inference_count": totals.successes,
        "execution_count": totals.successes,
        "inference_stats": durations,
    }


def _duration(count: int, seconds: float) -> dict[str, int]:
    return {"count": count, "ns": int(seconds * NANOSECONDS)}
