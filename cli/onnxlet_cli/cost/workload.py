"""The workload: how long a request takes and how often one starts cold, from options, a benchmark or a log."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, median
from typing import Any

from onnxlet.settings.parsers import MEMORY_PER_CPU_MIB
from onnxlet_cli.cost.json_file import read_object
from onnxlet_publishing.errors import UsageError

DEFAULT_COLD_SHARE = 0.01
"""AWS saw cold starts in less than 1 % of all invocations ("AWS Lambda standardizes billing for INIT Phase", 2025)."""

DEFAULT_COLD_MILLISECONDS = 400.0
"""Default if it was not measured: some 150 ms for Python and the functions, and the rest for a larger model."""

BENCH_DOCUMENT = "a document of `onnxlet bench --json`"

COLD_LABELS = {"binary": ": onnxlet", "json": ": onnxlet, JSON"}
"""Labels of the benchmark for onnxlet's cold starts, by the form of the request."""

_REPORT = re.compile(
    r"REPORT RequestId: .*?\bDuration: ([\d.]+) ms\s+Billed Duration: "
    r".*?\bMemory Size: (\d+) MB(?:.*?\bInit Duration: ([\d.]+) ms)?"
)


@dataclass(frozen=True)
class Workload:
    """The measured properties of a function's requests."""

    milliseconds: float
    """Duration of a warm request on one full vCPU."""
    source: str
    cold_milliseconds: float = DEFAULT_COLD_MILLISECONDS
    """Duration of the init phase, which has a full vCPU at any memory and is billed."""
    cold_share: float = DEFAULT_COLD_SHARE
    """Share of the requests that start a process."""
    payload_bytes: float = 0.0
    """Size of a request and its response, which SageMaker bills; 0 if unknown."""
    peak_mib: float = 0.0
    """Peak memory of a process; 0 if unknown."""

    def milliseconds_at(self, memory_mib: int) -> float:
        """Return the duration of a warm request on Lambda, which gives CPU by memory; only one vCPU counts."""
        return self.milliseconds / min(1.0, memory_mib / MEMORY_PER_CPU_MIB)


def measured(milliseconds: float, memory_mib: int) -> Workload:
    """Return the workload for a duration that was measured on a function with this much memory."""
    full = milliseconds * min(1.0, memory_mib / MEMORY_PER_CPU_MIB)
    return Workload(full, f"{milliseconds:g} ms at {memory_mib} MiB")


def read_bench(path: Path, model: str | None = None, form: str = "binary") -> Workload:
    """Return the workload of the medians in a document of `onnxlet bench --json`, for tensors in one form.

    Without a model it is the first one with warm requests, and with cold starts if any has them.

    Raises:
        UsageError: The file is not such a document, or has no warm requests of this model.
    """
    document = read_object(path, BENCH_DOCUMENT)
    try:
        sections = {str(section["name"]): _series(section) for section in document["sections"]}
    except (KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{path}: expected {BENCH_DOCUMENT}") from error
    warm = {
        label.removesuffix(f": aws_http {form}"): milliseconds
        for label, milliseconds in sections.get("warm", {}).items()
        if label.endswith(f": aws_http {form}")
    }
    cold, start = sections.get("cold", {}), COLD_LABELS.get(form, "")
    name = model or next((label for label in warm if f"{label}{start}" in cold), next(iter(warm), None))
    if name not in warm:
        expected = f"one of {', '.join(warm)}" if warm else "warm requests: run `onnxlet bench all --json`"
        raise UsageError(f"{path}: model {model or 'of any name'}: expected {expected}")
    workload = Workload(
        warm[name], f"{name} in {path.name}, {form}", peak_mib=cold.get(f"{name}: onnxlet, peak memory", 0)
    )
    started = cold.get(f"{name}{start}")
    if started is None:
        return workload
    return replace(workload, cold_milliseconds=max(0.0, started - workload.milliseconds))


def read_logs(path: Path) -> Workload:
    """Return the workload of the means in a function's log: of Lambda's REPORT lines, else of the function's own lines.

    The function's own lines do not say how long a start took, nor how much memory the function had: the result
    assumes a full vCPU.

    Raises:
        UsageError: The file cannot be read, or has no such lines.
    """
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    reports = [match for line in lines if (match := _REPORT.search(line))]
    if reports:
        return _from_reports(reports, path)
    own = list(_own_lines(lines))
    if not own:
        raise UsageError(f'{path}: expected lines with "milliseconds" and "cold", or Lambda\'s REPORT lines')
    warm = [line["milliseconds"] for line in own if not line["cold"]]
    share = sum(line["cold"] for line in own) / len(own)
    mean = fmean(warm or [line["milliseconds"] for line in own])
    payload = fmean(line.get("request_bytes", 0) + line.get("response_bytes", 0) for line in own)
    return Workload(mean, f"{len(own)} requests in {path.name}", cold_share=share, payload_bytes=payload)


def parse_share(text: str, option: str) -> float:
    """Return a share from 0 to 1, written as `1%` or `0.01`.

    Raises:
        UsageError: The text has neither form.
    """
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise UsageError(f"{option} {text}: expected a share like 1% or 0.01")
    return share


def parse_numbers(text: str, option: str, at_least: int, at_most: int) -> list[int]:
    """Return whole numbers from a list with commas, as `1000,10_000_000`, sorted and without repetition.

    Raises:
        UsageError: The text is not such a list, or a number is out of bounds.
    """
    numbers = []
    for part in text.split(","):
        digits = part.strip().replace("_", "")
        if not digits.isascii() or not digits.isdigit() or len(digits) > 15 or not at_least <= int(digits) <= at_most:
            raise UsageError(f"{option} {text}: expected numbers from {at_least} to {at_most}, separated by commas")
        numbers.append(int(digits))
    return sorted(set(numbers))


def _series(section: Mapping[str, Any]) -> dict[str, float]:
    """Return the medians of a section by their labels; microseconds become milliseconds."""
    return {
        series["label"]: series["median"] * (1e-3 if series["unit"] == "us" else 1.0)
        for series in section.get("series", [])
    }


def _from_reports(reports: Sequence[re.Match[str]], path: Path) -> Workload:
    memory_mib = int(reports[-1][2])
    workload = measured(fmean(float(report[1]) for report in reports), memory_mib)
    starts = [float(report[3]) for report in reports if report[3]]
    source = f"{len(reports)} invocations in {path.name}"
    workload = replace(workload, source=source, cold_share=len(starts) / len(reports))
    return replace(workload, cold_milliseconds=median(starts)) if starts else workload


def _own_lines(lines: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield the lines that the functions write, each perhaps after a time that the log has added."""
    for line in lines:
        try:
            document = json.loads(line[line.index("{") :])
        except (ValueError, RecursionError):
            continue
        if isinstance(document, dict) and isinstance(document.get("milliseconds"), int | float) and "cold" in document:
            yield document
