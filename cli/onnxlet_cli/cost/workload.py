"""The workload: how long a request takes and how often one is cold, as given, from a benchmark or from a log."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, median
from typing import Any

from onnxlet.errors import InvalidRequestError
from onnxlet.settings.variables import MEMORY_PER_CPU_MIB

DEFAULT_COLD_SHARE = 0.01
"""AWS saw cold starts in less than 1 % of all invocations ("AWS Lambda standardizes billing for INIT Phase", 2025)."""

DEFAULT_COLD_MILLISECONDS = 400.0
"""Where nobody measured it: some 150 of Python and the functions on a full CPU, and as much again of a larger model."""

COLD_LABELS = {"binary": ": onnxlet", "json": ": onnxlet, JSON"}
"""What the benchmark calls our cold starts, by the form of the request."""

_REPORT = re.compile(
    r"REPORT RequestId: .*?\bDuration: ([\d.]+) ms\s+Billed Duration: "
    r".*?\bMemory Size: (\d+) MB(?:.*?\bInit Duration: ([\d.]+) ms)?"
)
"""Lambda's own line for each invocation."""


@dataclass(frozen=True)
class Workload:
    """What is known of a function's requests."""

    milliseconds: float
    """Of a warm request, on one full vCPU."""
    source: str
    cold_milliseconds: float = DEFAULT_COLD_MILLISECONDS
    """Of the init phase, which has a full vCPU at any memory and is billed."""
    cold_share: float = DEFAULT_COLD_SHARE
    """Of the requests, how many start a process."""
    payload_bytes: float = 0.0
    """Of a request and its answer, which SageMaker bills; 0 where that is not known."""
    peak_mib: float = 0.0
    """What a process took of memory; 0 where that is not known."""

    def milliseconds_at(self, memory_mib: int) -> float:
        """Of a warm request on Lambda, which gives CPU by memory; more than one vCPU is not counted on."""
        return self.milliseconds / min(1.0, memory_mib / MEMORY_PER_CPU_MIB)


def measured(milliseconds: float, memory_mib: int) -> Workload:
    """A workload by the milliseconds that were seen on a function with so much memory."""
    full = milliseconds * min(1.0, memory_mib / MEMORY_PER_CPU_MIB)
    return Workload(full, f"{milliseconds:g} ms at {memory_mib} MiB")


def read_bench(path: Path, model: str | None = None, form: str = "binary") -> Workload:
    """The medians of what `onnxlet bench --json` printed.

    Args:
        path: The document.
        model: One of the benchmark's; None takes the first that has warm requests, and cold starts if any has.
        form: `binary` or `json`: in which one the tensors are sent.

    Raises:
        InvalidRequestError: not such a document, or it has no warm requests of this model.
    """
    document = _read_document(path)
    try:
        sections = {str(section["name"]): _series(section) for section in document["sections"]}
    except (KeyError, TypeError, AttributeError) as error:
        raise InvalidRequestError(f"{path}: expected sections as `onnxlet bench --json` prints them") from error
    warm = {
        label.removesuffix(f": aws_http {form}"): milliseconds
        for label, milliseconds in sections.get("warm", {}).items()
        if label.endswith(f": aws_http {form}")
    }
    cold, start = sections.get("cold", {}), COLD_LABELS.get(form, "")
    name = model or next((each for each in warm if f"{each}{start}" in cold), next(iter(warm), None))
    if name not in warm:
        expected = f"one of {', '.join(warm)}" if warm else "warm requests: run `onnxlet bench all --json`"
        raise InvalidRequestError(f"{path}: model {model or 'of any name'}: expected {expected}")
    workload = Workload(
        warm[name], f"{name} in {path.name}, {form}", peak_mib=cold.get(f"{name}: onnxlet, peak memory", 0)
    )
    started = cold.get(f"{name}{start}")
    if started is None:
        return workload
    return replace(workload, cold_milliseconds=max(0.0, started - workload.milliseconds))


def read_logs(path: Path) -> Workload:
    """The means of a function's own log: Lambda's REPORT lines, or else the line that the function writes itself.

    The latter do not say what a start took, nor how much memory the function had: a full vCPU is assumed.

    Raises:
        InvalidRequestError: it cannot be read, or has neither.
    """
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError as error:
        raise InvalidRequestError(f"{path}: cannot be read: {error.strerror}") from error
    reports = [match for line in lines if (match := _REPORT.search(line))]
    if reports:
        return _from_reports(reports, path)
    own = list(_own_lines(lines))
    if not own:
        raise InvalidRequestError(f'{path}: expected lines with "milliseconds" and "cold", or Lambda\'s REPORT lines')
    warm = [line["milliseconds"] for line in own if not line["cold"]]
    share = sum(line["cold"] for line in own) / len(own)
    mean = fmean(warm or [line["milliseconds"] for line in own])
    payload = fmean(line.get("request_bytes", 0) + line.get("response_bytes", 0) for line in own)
    return Workload(mean, f"{len(own)} requests in {path.name}", cold_share=share, payload_bytes=payload)


def parse_share(text: str, option: str) -> float:
    """A share of one: `1%` or `0.01`.

    Raises:
        InvalidRequestError: neither.
    """
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise InvalidRequestError(f"{option} {text}: expected a share like 1% or 0.01")
    return share


def parse_numbers(text: str, option: str, at_least: int, at_most: int) -> list[int]:
    """Whole numbers with commas between them: `1000,10_000_000`.

    Raises:
        InvalidRequestError: not such numbers, or one out of bounds.
    """
    found = []
    for part in text.split(","):
        digits = part.strip().replace("_", "")
        if not digits.isascii() or not digits.isdigit() or len(digits) > 15 or not at_least <= int(digits) <= at_most:
            raise InvalidRequestError(f"{option} {text}: expected numbers from {at_least} to {at_most}, with commas")
        found.append(int(digits))
    return sorted(set(found))


def _read_document(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise InvalidRequestError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise InvalidRequestError(f"{path}: expected what `onnxlet bench --json` prints, got: {error}") from error
    if not isinstance(document, dict) or not isinstance(document.get("sections"), list):
        raise InvalidRequestError(f"{path}: expected what `onnxlet bench --json` prints")
    return document


def _series(section: Mapping[str, Any]) -> dict[str, float]:
    """The medians of a section by their labels; microseconds as milliseconds."""
    factors = {"us": 1e-3}
    return {
        series["label"]: series["median"] * factors.get(series["unit"], 1.0) for series in section.get("series", [])
    }


def _from_reports(reports: Sequence[re.Match[str]], path: Path) -> Workload:
    memory_mib = int(reports[-1][2])
    found = measured(fmean(float(report[1]) for report in reports), memory_mib)
    starts = [float(report[3]) for report in reports if report[3]]
    found = replace(found, source=f"{len(reports)} invocations in {path.name}", cold_share=len(starts) / len(reports))
    return replace(found, cold_milliseconds=median(starts)) if starts else found


def _own_lines(lines: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The lines that the functions write; a log's own time may stand before each."""
    for line in lines:
        try:
            document = json.loads(line[line.index("{") :])
        except (ValueError, RecursionError):
            continue
        if isinstance(document, dict) and isinstance(document.get("milliseconds"), int | float) and "cold" in document:
            yield document
