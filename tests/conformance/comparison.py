"""The comparison: every case published, served and asked in each form, and each answer held against ONNX Runtime's."""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.progress import track

from onnxlet.errors import OnnxletError
from onnxlet.registry.registry import Registry
from onnxlet.storage import open_store
from onnxlet_cli.local.serve import LocalSettings, serve
from onnxlet_publishing.candidate import Candidate
from onnxlet_publishing.onnx_file import read_onnx
from onnxlet_publishing.publish import publish
from tests.conformance.cases import LeftOutError, to_case
from tests.conformance.client import AnswerError, ask_in_binary, ask_in_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import numpy.typing as npt
    from onnx.backend.test.case.test_case import TestCase
    from rich.console import Console

    from tests.conformance.cases import Case

    Array = npt.NDArray[Any]
    Arrays = dict[str, Array]

BINARY, JSON = "binary", "JSON"
ASK = {BINARY: ask_in_binary, JSON: ask_in_json}
BOTH = f"{BINARY}, {JSON}"


@dataclass
class Report:
    """What came of a comparison."""

    tests: int
    left_out: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How many, by the form in which they were not asked and the reason."""
    asked: Counter[str] = field(default_factory=Counter)
    """How many, by form."""
    wrong: list[tuple[str, str, str]] = field(default_factory=list)
    """The case, the form and what was wrong."""

    def right(self, form: str) -> int:
        """How many of those that were asked in a form have ONNX Runtime's answer."""
        return self.asked[form] - sum(found == form for _, found, _ in self.wrong)


def compare(tests: Sequence[TestCase], cloud: str, folder: Path, console: Console) -> Report:
    """Publish what can be asked of the tests as one catalogue, serve it, and ask for every answer.

    Args:
        tests: ONNX's.
        cloud: `aws` or `gcp`: whose local runtime serves.
        folder: Empty; for the registry and the function's log.
        console: Where progress is shown.
    """
    report = Report(len(tests))
    cases = _to_cases(track(tests, "onnxruntime", console=console), report)
    url = (folder / "registry").as_uri()
    _publish(track(cases, "publish", console=console), Registry(open_store(url, create=True)))
    with serve(cloud, LocalSettings(url, None, 0), log=folder / "log") as served_at:
        for case in track(cases, f"ask {cloud}", console=console):
            _ask(case, served_at, report)
    return report


def _to_cases(tests: Iterable[TestCase], report: Report) -> list[Case]:
    cases = []
    for test in tests:
        try:
            cases.append(to_case(test))
        except LeftOutError as reason:
            report.left_out[BOTH, str(reason)] += 1
    return cases


def _publish(cases: Iterable[Case], registry: Registry) -> None:
    """Publish as `onnxlet publish` does.

    Raises:
        OnnxletError: a case was refused, and ONNX Runtime passes it: the gate is wrong.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        for case in cases:
            path.write_bytes(case.graph)
            try:
                publish(registry, Candidate(case.model, read_onnx(path), f"{case.name}.onnx"))
            except OnnxletError as error:
                error.add_note(f"the case was {case.name}")
                raise


def _ask(case: Case, url: str, report: Report) -> None:
    for form, ask in ASK.items():
        reason = _obstacle(case) if form == JSON else None
        if reason is not None:
            report.left_out[form, reason] += 1
            continue
        report.asked[form] += 1
        try:
            answers = ask(url, case.model, case.inputs)
        except AnswerError as error:
            report.wrong.append((case.name, form, str(error)))
        else:
            expected = case.answers if form == BINARY else {name: _finite(case.answers[name]) for name in case.answers}
            report.wrong += [(case.name, form, problem) for problem in differences(answers, expected)][:1]


def _obstacle(case: Case) -> str | None:
    """Why a case cannot be asked in JSON."""
    if any(array.dtype == np.float16 for array in (*case.inputs.values(), *case.answers.values())):
        return "FP16 has no JSON form in V2"
    if any(array.dtype.kind == "f" and not np.isfinite(array).all() for array in case.inputs.values()):
        return "NaN or infinity among the inputs: JSON has neither"
    return None


def _finite(array: Array) -> Array:
    """The array as JSON can say it: what is not finite is null, which the client takes for NaN."""
    return np.where(np.isfinite(array), array, array.dtype.type(np.nan)) if array.dtype.kind == "f" else array


def differences(answers: Arrays, expected: Arrays) -> Iterator[str]:
    """What is not equal to the last bit, datatypes, shapes and the order of the outputs too; every NaN is the same."""
    if list(answers) != list(expected):
        yield f"the outputs {list(answers)} and not {list(expected)}"
        return
    for name, want in expected.items():
        found = answers[name]
        if (found.dtype, found.shape) != (want.dtype, want.shape):
            yield f"{name}: {found.dtype} {found.shape} and not {want.dtype} {want.shape}"
        elif _canonical(found) != _canonical(want):
            yield f"{name}: other values, {_sample(found)} and not {_sample(want)}"


def _canonical(array: Array) -> object:
    """What is equal where two arrays are equal to the last bit; every NaN is the same."""
    if array.dtype.kind == "O":
        return list(array.flat)
    if array.dtype.kind == "f":
        array = np.where(np.isnan(array), array.dtype.type(np.nan), array)
    return array.tobytes()


def _sample(array: Array) -> str:
    return str(array.ravel()[:8].tolist())[:150]
