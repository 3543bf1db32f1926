"""Cold starts: from the spawn of a process to its first right answer, the model's way from S3 included."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from onnxlet_cli.bench import keras_model
from onnxlet_cli.bench.fresh import Command, Outcome, run_function, run_program
from onnxlet_cli.bench.models import BenchModel, load_model
from onnxlet_cli.bench.options import SIZES, Options, Progress
from onnxlet_cli.bench.payloads import (
    LABELS,
    WrongAnswerError,
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
from onnxlet_cli.bench.stage import Stage, open_stage
from onnxlet_cli.bench.statistics import Series, interleave

NAIVE_RUNS = 3
"""It takes ten seconds each, and differs by a factor of twenty."""

PHOTO_MODEL = "mobile"

MIB = 1024 * 1024


@dataclass(frozen=True)
class Case:
    """One way to the same answer."""

    label: str
    start: Callable[[], Outcome]
    check: Callable[[bytes], None]
    """Raises where the answer is wrong."""

    def run(self) -> Outcome:
        """Start a fresh process, and check its answer.

        Raises:
            FreshProcessError, WrongAnswerError: it does not answer, or not rightly.
        """
        outcome = self.start()
        self.check(outcome.body)
        return outcome


def measure_cold(options: Options, progress: Progress) -> Section:
    """Start every case of every model over and over, each in a fresh process.

    Raises:
        SettingsError: moto is not installed.
        FreshProcessError, WrongAnswerError: a case does not answer, or not rightly.
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
            found = _measure(cases, options.runs)
            times = {key: _times(name, cases[key], outcomes) for key, outcomes in found.items()}
            memory = {key: _memory(name, cases[key], found[key]) for key in ("onnxlet", "typical", "limit")}
            series += [*times.values(), *memory.values()]
            comparisons += compare(name, times, memory, "" if throttle.is_on else NO_THROTTLE)
            panels += to_panels(name, times) if throttle.is_on else ()
        title = f"Cold start: spawn of the process to the first right answer, S3 {throttle}"
        facts = {"throttle": vars(throttle), "deployment": stage.deployment.title}
        part = "cold" if throttle.is_on else "cold-unthrottled"
        return Section(part, title, series, comparisons, notes, panels, facts)


NOTES = (
    "onnxlet, typical and naive run under awslambdaric and fetch the model from the same S3; limit has it on its disk.",
    "onnxlet is asked in V2 binary where nothing else stands.",
    "onnxlet was told by ONNXLET_PREFETCH what to expect, as `onnxlet prefetch` prints it; untold: it was not.",
    "onnxlet takes a thread for each vCPU of a function as large as this machine; the references one for each core.",
    "Peak memory is VmHWM of the process at its first answer.",
)


NO_THROTTLE = ", no throttle"
"""Of the keys of figures that have no goal: an S3 as fast as this machine is nobody's."""


def _cases(stage: Stage, model: BenchModel, options: Options, notes: list[str]) -> dict[str, Case]:
    """All ways to the answers of a model; what is left out is noted."""
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
    """A model's tensors to its answer: ours, twice, what people deploy, and the least that onnxruntime takes."""
    key = f"models/{model.name}.onnx"
    stage.upload(key, model.path.read_bytes())
    line = stage.publish(model.name, model)
    inputs = model.arrays()
    ours, path = stage.function("aws_http", model.name, line), v2_path(model.name)
    untold = stage.function("aws_http", model.name)
    typical = stage.reference("typical", key)

    def limit() -> Outcome:
        return run_program(stage.limit(model), model.expected.nbytes)

    return {
        "onnxlet": Case(
            "onnxlet", _starts(ours, path, v2_binary(inputs)), lambda body: model.check(read_v2_binary(*_result(body)))
        ),
        "onnxlet untold": Case(
            "onnxlet, untold",
            _starts(untold, path, v2_binary(inputs)),
            lambda body: model.check(read_v2_binary(*_result(body))),
        ),
        "onnxlet json": Case(
            "onnxlet, JSON",
            _starts(ours, path, v2_json(inputs)),
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
    """A photo to its label: ours, and what people deploy."""
    name = f"{model.name}-photo"
    line = stage.publish(name, model, takes_photos=True)
    labels = stage.scratch / "labels.txt"
    labels.write_text("\n".join(LABELS))
    typical = stage.reference("typical_photo", f"models/{model.name}.onnx", {"LABELS": str(labels)})
    request = photo(), {"content-type": "image/jpeg"}
    # Which label is right, the typical handler says itself: both must name the same.
    expected = json.loads(_result(_starts(typical, "/", request)().body)[1])["label"]

    def check(found: str) -> None:
        if found != expected:
            raise WrongAnswerError(f"a photo: expected {expected}, got {found}")

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
    """TensorFlow with a Keras file."""
    model = keras_model.load(cache)
    key = "models/mobile.keras"
    stage.upload(key, model.path.read_bytes())
    naive = stage.reference("naive", key, {"TF_CPP_MIN_LOG_LEVEL": "3"})
    start = _starts(naive, "/", plain_json(model.arrays()))
    return {"naive": Case("naive", start, lambda body: model.check(read_plain_json(_result(body)[1])))}


def compare(name: str, times: dict[str, Series], memory: dict[str, Series], suffix: str = "") -> list[Comparison]:
    """The figures of one model; `suffix` ends their keys."""
    start, photo_start = f"cold start, {name}: onnxlet / ", f"photo to label, {name}: onnxlet / typical"
    figures: list[tuple[str, str, dict[str, Series], str, str]] = [
        (f"cold {name} / typical", f"{start}typical", times, "onnxlet", "typical"),
        (f"cold {name} / limit", f"{start}limit", times, "onnxlet", "limit"),
        (f"cold {name} untold / typical", f"{start}typical, untold", times, "onnxlet untold", "typical"),
        (f"cold {name} / naive", f"{start}naive", times, "onnxlet", "naive"),
        (f"cold {name} json / typical", f"{start}typical, both JSON", times, "onnxlet json", "typical"),
        ("cold photo / typical", photo_start, times, "onnxlet photo", "typical photo"),
        (f"memory {name} / typical", f"peak memory, {name}: onnxlet / typical", memory, "onnxlet", "typical"),
    ]
    return [
        Comparison(f"{key}{suffix}", what, series[ours], series[reference])
        for key, what, series, ours, reference in figures
        if reference in series
    ]


def to_panels(name: str, times: dict[str, Series]) -> list[Panel]:
    """What the chart shows of one model."""
    shown = ["onnxlet", "limit", "typical", "naive"]
    bars = {key: times[key] for key in shown if key in times}
    panels = [Panel(f"Cold start, {name} ({SIZES[name]})", bars)]
    if "onnxlet photo" in times:
        photos = {"onnxlet": times["onnxlet photo"], "typical": times["typical photo"]}
        panels.append(Panel(f"Cold start, photo to label, {name}", photos))
    return panels


def _measure(cases: dict[str, Case], runs: int) -> dict[str, list[Outcome]]:
    found: dict[str, list[Outcome]] = {key: [] for key in cases}
    for key, outcome in interleave({key: case.run for key, case in cases.items()}, runs, {"naive": NAIVE_RUNS}):
        found[key].append(outcome)
    return found


def _times(name: str, case: Case, outcomes: list[Outcome]) -> Series:
    return Series(f"{name}: {case.label}", tuple(outcome.seconds * 1000 for outcome in outcomes), "ms")


def _memory(name: str, case: Case, outcomes: list[Outcome]) -> Series:
    samples = tuple(outcome.peak_bytes / MIB for outcome in outcomes)
    return Series(f"{name}: {case.label}, peak memory", samples, "MiB")


def _starts(command: Command, path: str, request: tuple[bytes, dict[str, str]]) -> Callable[[], Outcome]:
    """How a function is started and sent a request."""
    event = json.dumps(function_url_event(path, *request)).encode()
    return lambda: run_function(command, event)


def _result(body: bytes) -> tuple[dict[str, str], bytes]:
    result: Any = json.loads(body)
    return read_result(result)
