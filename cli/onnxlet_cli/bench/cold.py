"""Cold starts: the time from the spawn of a process to its first right answer, with the model's way from S3."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from onnxlet_cli.bench import keras_model
from onnxlet_cli.bench.fresh_process import Command, Outcome, run_function, run_program
from onnxlet_cli.bench.models import BenchModel, load_model
from onnxlet_cli.bench.options import SIZES, Options, Progress
from onnxlet_cli.bench.payloads import (
    LABELS,
    function_url_event,
    photo,
    plain_json,
    read_plain_json,
    read_result,
    read_v2_binary,
    read_v2_json,
    v2_binary,
    v2_json,
    v2_path,
)
from onnxlet_cli.bench.results import Comparison, Panel, Section
from onnxlet_cli.bench.series import Series, interleave
from onnxlet_cli.bench.stage import Stage, open_stage
from onnxlet_cli.errors import WrongAnswerError

NAIVE_RUNS = 3
"""Runs of the naive baseline: each takes ten seconds, and a difference by a factor of 20 needs no more."""

PHOTO_MODEL = "mobile"

MIB = 1024 * 1024


@dataclass(frozen=True)
class Case:
    """One of several programs that give the same answer."""

    label: str
    start: Callable[[], Outcome]
    check: Callable[[bytes], None]
    """A function that raises `WrongAnswerError` if the answer is wrong."""

    def run(self) -> Outcome:
        """Start a fresh process, and check its answer.

        Raises:
            FreshProcessError: It does not answer.
            WrongAnswerError: It answers wrongly.
        """
        outcome = self.start()
        self.check(outcome.body)
        return outcome


def measure_cold(options: Options, progress: Progress) -> Section:
    """Start every case of every model repeatedly, each time in a fresh process.

    Raises:
        MachineError: moto is not installed.
        FreshProcessError: A case does not answer.
        WrongAnswerError: A case answers wrongly.
    """
    series: list[Series] = []
    comparisons: list[Comparison] = []
    panels: list[Panel] = []
    notes = list(NOTES)
    throttle = options.throttle
    with open_stage(throttle, options.package) as stage:
        for name in options.models:
            progress(f"cold {name}, {SIZES[name]}, S3 {throttle}")
            cases = _cases(stage, load_model(name, options.cache), options, notes)
            outcomes = _measure(cases, options.runs)
            times = {key: _times(name, cases[key], outcomes[key]) for key in outcomes}
            memory = {key: _memory(name, cases[key], outcomes[key]) for key in ("onnxlet", "typical", "limit")}
            series += [*times.values(), *memory.values()]
            comparisons += compare(name, times, memory, "" if throttle.is_on else NO_THROTTLE)
            panels += to_panels(name, times) if throttle.is_on else ()
        title = f"Cold start: spawn of the process to the first right answer, S3 {throttle}"
        facts = {"throttle": vars(throttle), "deployment": stage.deployment.title}
        part = "cold" if throttle.is_on else "cold-unthrottled"
        return Section(part, title, series, comparisons, notes, panels, facts)


NOTES = (
    "onnxlet, typical and naive run under awslambdaric and fetch the model from the same S3; limit has it on its disk.",
    "onnxlet is sent V2 in binary form if nothing else is said.",
    "onnxlet has the ONNXLET_PREFETCH that `onnxlet prefetch` prints, except in the rows with no prefetch.",
    "onnxlet uses one thread for each vCPU of a function as large as this machine; the baselines one for each core.",
    "Peak memory is the VmHWM of the process at its first answer.",
)


NO_THROTTLE = ", no throttle"
"""The end of the keys of figures without a goal: nobody has an S3 that is as fast as this machine."""


def _cases(stage: Stage, model: BenchModel, options: Options, notes: list[str]) -> dict[str, Case]:
    """Return all cases of a model, and note which one was left out."""
    cases = model_cases(stage, model)
    if model.name != PHOTO_MODEL:
        return cases
    cases |= photo_cases(stage, model)
    if not options.throttle.is_on:
        return cases
    if keras_model.is_possible():
        return cases | naive_cases(stage, options.cache)
    notes.append("naive was left out: TensorFlow is not installed (pip install 'onnxlet[training]').")
    return cases


def model_cases(stage: Stage, model: BenchModel) -> dict[str, Case]:
    """Return the cases from a model's tensors to its output: onnxlet, typical, and the least that onnxruntime needs."""
    key = f"models/{model.name}.onnx"
    stage.upload(key, model.path.read_bytes())
    line = stage.publish(model.name, model)
    inputs = model.arrays()
    onnxlet, path = stage.function("aws_http", model.name, line), v2_path(model.name)
    no_prefetch = stage.function("aws_http", model.name)
    typical = stage.baseline("typical", key)

    def limit() -> Outcome:
        return run_program(stage.limit(model), model.expected.nbytes)

    return {
        "onnxlet": Case(
            "onnxlet",
            _starts(onnxlet, path, v2_binary(inputs)),
            lambda body: model.check(read_v2_binary(*_result(body))),
        ),
        "onnxlet no prefetch": Case(
            "onnxlet, no prefetch",
            _starts(no_prefetch, path, v2_binary(inputs)),
            lambda body: model.check(read_v2_binary(*_result(body))),
        ),
        "onnxlet json": Case(
            "onnxlet, JSON",
            _starts(onnxlet, path, v2_json(inputs)),
            lambda body: model.check(read_v2_json(_result(body)[1])),
        ),
        "typical": Case(
            "typical",
            _starts(typical, "/", plain_json(inputs)),
            lambda body: model.check(read_plain_json(_result(body)[1])),
        ),
        "limit": Case("limit", limit, lambda body: model.check(np.frombuffer(body, np.float32))),
    }


def photo_cases(stage: Stage, model: BenchModel) -> dict[str, Case]:
    """Return the cases from a photo to its label: onnxlet and the typical handler."""
    name = f"{model.name}-photo"
    line = stage.publish(name, model, takes_photos=True)
    labels = stage.scratch / "labels.txt"
    labels.write_text("\n".join(LABELS))
    typical = stage.baseline("typical_photo", f"models/{model.name}.onnx", {"LABELS": str(labels)})
    request = photo(), {"content-type": "image/jpeg"}
    # The typical handler decides which label is right: both must name the same one.
    expected = json.loads(_result(_starts(typical, "/", request)().body)[1])["label"]

    def check(label: str) -> None:
        if label != expected:
            raise WrongAnswerError(f"a photo: expected {expected}, got {label}")

    return {
        "onnxlet photo": Case(
            "onnxlet, photo to label",
            _starts(stage.function("aws_http", name, line), f"/predict/{name}", request),
            lambda body: check(json.loads(_result(body)[1])["predictions"][0]["top"][0]["label"]),
        ),
        "typical photo": Case(
            "typical, photo to label",
            _starts(typical, "/", request),
            lambda body: check(json.loads(_result(body)[1])["label"]),
        ),
    }


def naive_cases(stage: Stage, cache: Path) -> dict[str, Case]:
    """Return the case of TensorFlow with a Keras file."""
    model = keras_model.load(cache)
    key = "models/mobile.keras"
    stage.upload(key, model.path.read_bytes())
    naive = stage.baseline("naive", key, {"TF_CPP_MIN_LOG_LEVEL": "3"})
    start = _starts(naive, "/", plain_json(model.arrays()))
    return {"naive": Case("naive", start, lambda body: model.check(read_plain_json(_result(body)[1])))}


def compare(name: str, times: dict[str, Series], memory: dict[str, Series], suffix: str = "") -> list[Comparison]:
    """Return the figures of one model; their keys end in `suffix`."""
    start, photo_start = f"cold start, {name}: onnxlet / ", f"photo to label, {name}: onnxlet / typical"
    figures: list[tuple[str, str, dict[str, Series], str, str]] = [
        (f"cold {name} / typical", f"{start}typical", times, "onnxlet", "typical"),
        (f"cold {name} / limit", f"{start}limit", times, "onnxlet", "limit"),
        (f"cold {name} no prefetch / typical", f"{start}typical, no prefetch", times, "onnxlet no prefetch", "typical"),
        (f"cold {name} / naive", f"{start}naive", times, "onnxlet", "naive"),
        (f"cold {name} json / typical", f"{start}typical, both JSON", times, "onnxlet json", "typical"),
        ("cold photo / typical", photo_start, times, "onnxlet photo", "typical photo"),
        (f"memory {name} / typical", f"peak memory, {name}: onnxlet / typical", memory, "onnxlet", "typical"),
    ]
    return [
        Comparison(f"{key}{suffix}", what, series[ours], series[baseline])
        for key, what, series, ours, baseline in figures
        if baseline in series
    ]


def to_panels(name: str, times: dict[str, Series]) -> list[Panel]:
    """Return the chart's panels for one model."""
    shown = ["onnxlet", "limit", "typical", "naive"]
    bars = {key: times[key] for key in shown if key in times}
    panels = [Panel(f"Cold start, {name} ({SIZES[name]})", bars)]
    if "onnxlet photo" in times:
        photos = {"onnxlet": times["onnxlet photo"], "typical": times["typical photo"]}
        panels.append(Panel(f"Cold start, photo to label, {name}", photos))
    return panels


def _measure(cases: dict[str, Case], runs: int) -> dict[str, list[Outcome]]:
    outcomes: dict[str, list[Outcome]] = {key: [] for key in cases}
    for key, outcome in interleave({key: case.run for key, case in cases.items()}, runs, {"naive": NAIVE_RUNS}):
        outcomes[key].append(outcome)
    return outcomes


def _times(name: str, case: Case, outcomes: list[Outcome]) -> Series:
    return Series(f"{name}: {case.label}", tuple(outcome.seconds * 1000 for outcome in outcomes), "ms")


def _memory(name: str, case: Case, outcomes: list[Outcome]) -> Series:
    samples = tuple(outcome.peak_bytes / MIB for outcome in outcomes)
    return Series(f"{name}: {case.label}, peak memory", samples, "MiB")


def _starts(command: Command, path: str, request: tuple[bytes, dict[str, str]]) -> Callable[[], Outcome]:
    """Return a function that starts a process and sends it a request."""
    event = json.dumps(function_url_event(path, *request)).encode()
    return lambda: run_function(command, event)


def _result(body: bytes) -> tuple[dict[str, str], bytes]:
    result: Any = json.loads(body)
    return read_result(result)
