"""Cold starts: the time from the spawn of a process to its first right answer, with the model's way from S3."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from onnxlet.contract.tasks.texts import FED, FeatureExtraction, Tokenization
from onnxlet_cli.bench import keras_model, wordpiece
from onnxlet_cli.bench.fresh_process import Command, Outcome, run_function, run_program
from onnxlet_cli.bench.models import BenchModel, load_model
from onnxlet_cli.bench.networks import TEXT_POSITIONS
from onnxlet_cli.bench.options import SIZES, Options, Progress
from onnxlet_cli.bench.payloads import (
    JSON,
    VECTOR_TOLERANCE,
    check_close,
    function_url_event,
    photo,
    plain_json,
    read_label,
    read_result,
    v2_binary,
    v2_json,
    v2_path,
)
from onnxlet_cli.bench.results import Comparison, Panel, Section
from onnxlet_cli.bench.series import Series, interleave
from onnxlet_cli.bench.stage import PHOTO_TO_LABEL, Stage, open_stage
from onnxlet_cli.bench.warm_calls import output_of
from onnxlet_cli.errors import WrongAnswerError

NAIVE_RUNS = 3
"""Runs of the naive baseline: each takes ten seconds, and a difference by a factor of 20 needs no more."""

PHOTO_MODEL = "mobile"
PHOTO_CASES = ("onnxlet, photo to label", "typical, photo to label")
TEXT_MODEL = "embedder"
TEXT_CASES = ("onnxlet, text to vector", "typical, text to vector")

MIB = 1024 * 1024


Cases = dict[str, Callable[[], Outcome]]
"""Functions that start a fresh process and check its answer, by label; all of a model give the same answer."""


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
            outcomes: dict[str, list[Outcome]] = {label: [] for label in cases}
            for label, outcome in interleave(cases, options.runs, {"naive": NAIVE_RUNS}):
                outcomes[label].append(outcome)
            times = {label: _times(name, label, outcomes[label]) for label in outcomes}
            memory = {label: _memory(name, label, outcomes[label]) for label in ("onnxlet", "typical", "limit")}
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


def _cases(stage: Stage, model: BenchModel, options: Options, notes: list[str]) -> Cases:
    """Return all cases of a model, and note which one was left out."""
    cases = model_cases(stage, model)
    if model.name == TEXT_MODEL:
        if stage.deployment.takes_texts:
            return cases | text_cases(stage, model)
        notes.append("text to vector was left out: the package has no tokenizers (onnxlet package --with text).")
    if model.name != PHOTO_MODEL:
        return cases
    cases |= photo_cases(stage, model)
    if not options.throttle.is_on:
        return cases
    if keras_model.is_possible():
        return cases | naive_case(stage, options.cache)
    notes.append("naive was left out: TensorFlow is not installed (pip install 'onnxlet[training]').")
    return cases


def model_cases(stage: Stage, model: BenchModel) -> Cases:
    """Return the cases from a model's tensors to its output: onnxlet, typical, and the least that onnxruntime needs."""
    key = f"models/{model.name}.onnx"
    stage.upload(key, model.path.read_bytes())
    onnxlet, path = stage.function("aws_http", model.name, stage.publish(model.name, model)), v2_path(model.name)
    no_prefetch = stage.function("aws_http", model.name)
    binary, json_request, plain = (form(model.arrays()) for form in (v2_binary, v2_json, plain_json))

    def check(result: Any) -> None:
        model.check(output_of(result))

    def limit() -> Outcome:
        outcome = run_program(stage.limit(model), model.expected.nbytes)
        model.check(np.frombuffer(outcome.body, np.float32))
        return outcome

    return {
        "onnxlet": _runs(onnxlet, path, binary, check),
        "onnxlet, no prefetch": _runs(no_prefetch, path, binary, check),
        "onnxlet, JSON": _runs(onnxlet, path, json_request, check),
        "typical": _runs(stage.baseline("typical", key), "/", plain, check),
        "limit": limit,
    }


def photo_cases(stage: Stage, model: BenchModel) -> Cases:
    """Return the cases from a photo to its label: onnxlet and the typical handler, which must name the same one."""
    name = f"{model.name}-photo"
    onnxlet = stage.function("aws_http", name, stage.publish(name, model, **PHOTO_TO_LABEL))
    typical = stage.baseline("typical_photo", f"models/{model.name}.onnx", {"LABELS": str(stage.write_labels())})
    request = photo(), {"content-type": "image/jpeg"}
    labels: set[str] = set()

    def check(result: Any) -> None:
        labels.add(read_label(json.loads(read_result(result)[1])))
        if len(labels) > 1:
            raise WrongAnswerError(f"a photo: expected one label, got {' and '.join(sorted(labels))}")

    runs = (_runs(onnxlet, f"/predict/{name}", request, check), _runs(typical, "/", request, check))
    return dict(zip(PHOTO_CASES, runs, strict=True))


def text_cases(stage: Stage, model: BenchModel) -> Cases:
    """Return the cases from a text to its vector, for the text that has the tokens of the model's own inputs.

    The case in V2 binary that they are compared with is of `model_cases`: the same graph without task and tokenizer.
    """
    name, key, tokenizer = f"{model.name}-text", f"models/{model.name}.json", wordpiece.tokenizer_json()
    stage.upload(key, tokenizer)
    inputs = model.arrays()
    tokenization = Tokenization({fed: fed for fed in FED if fed in inputs}, max_length=TEXT_POSITIONS)
    task = FeatureExtraction("feature-extraction", tokenization, "output", pooling="mean", normalize=True)
    onnxlet = stage.function("aws_http", name, stage.publish(name, model, task=task, tokenizer=tokenizer))
    typical = stage.baseline("typical_text", f"models/{model.name}.onnx", {"TOKENIZER_KEY": key})
    request = json.dumps({"inputs": wordpiece.to_text(inputs["input_ids"][0])}).encode(), {"content-type": JSON}
    mean = model.expected[0].mean(axis=0)
    expected = mean / np.linalg.norm(mean)

    def check(result: Any) -> None:
        vector = np.array(json.loads(read_result(result)[1]), np.float32)
        check_close(name, vector, expected, VECTOR_TOLERANCE)

    runs = (_runs(onnxlet, f"/models/{name}", request, check), _runs(typical, "/", request, check))
    return dict(zip(TEXT_CASES, runs, strict=True))


def naive_case(stage: Stage, cache: Path) -> Cases:
    """Return the case of TensorFlow with a Keras file."""
    model = keras_model.load(cache)
    key = "models/mobile.keras"
    stage.upload(key, model.path.read_bytes())
    naive = stage.baseline("naive", key, {"TF_CPP_MIN_LOG_LEVEL": "3"})
    return {"naive": _runs(naive, "/", plain_json(model.arrays()), lambda result: model.check(output_of(result)))}


def compare(name: str, times: dict[str, Series], memory: dict[str, Series], suffix: str = "") -> list[Comparison]:
    """Return the figures of one model; their keys end in `suffix`."""
    start = f"cold start, {name}: onnxlet"
    figures = [
        (f"cold {name} / typical", f"{start} / typical", "onnxlet", "typical"),
        (f"cold {name} / limit", f"{start} / limit", "onnxlet", "limit"),
        (f"cold {name} no prefetch / typical", f"{start} / typical, no prefetch", "onnxlet, no prefetch", "typical"),
        (f"cold {name} / naive", f"{start} / naive", "onnxlet", "naive"),
        (f"cold {name} json / typical", f"{start} / typical, both JSON", "onnxlet, JSON", "typical"),
        ("cold photo / typical", f"photo to label, {name}: onnxlet / typical", *PHOTO_CASES),
        ("cold text / binary", f"text to vector, {name}: onnxlet / its tokens in V2", TEXT_CASES[0], "onnxlet"),
        ("cold text / typical", f"text to vector, {name}: onnxlet / typical", *TEXT_CASES),
    ]
    compared = [
        (key, what, times[ours], times[other]) for key, what, ours, other in figures if {ours, other} <= set(times)
    ]
    what = f"peak memory, {name}: onnxlet / typical"
    compared.append((f"memory {name} / typical", what, memory["onnxlet"], memory["typical"]))
    return [Comparison(f"{key}{suffix}", what, ours, baseline) for key, what, ours, baseline in compared]


def to_panels(name: str, times: dict[str, Series]) -> list[Panel]:
    """Return the chart's panels for one model."""
    shown = ["onnxlet", "limit", "typical", "naive"]
    bars = {key: times[key] for key in shown if key in times}
    panels = [Panel(f"Cold start, {name} ({SIZES[name]})", bars)]
    for what, (ours, typical) in {"photo to label": PHOTO_CASES, "text to vector": TEXT_CASES}.items():
        if ours in times:
            bars = {"onnxlet": times[ours], "typical": times[typical]}
            panels.append(Panel(f"Cold start, {what}, {name}", bars))
    return panels


def _times(name: str, label: str, outcomes: list[Outcome]) -> Series:
    return Series(f"{name}: {label}", tuple(outcome.seconds * 1000 for outcome in outcomes), "ms")


def _memory(name: str, label: str, outcomes: list[Outcome]) -> Series:
    samples = tuple(outcome.peak_bytes / MIB for outcome in outcomes)
    return Series(f"{name}: {label}, peak memory", samples, "MiB")


def _runs(
    command: Command, path: str, request: tuple[bytes, dict[str, str]], check: Callable[[Any], None]
) -> Callable[[], Outcome]:
    """Return a function that starts a process, sends it a request, and checks the result."""
    event = json.dumps(function_url_event(path, *request)).encode()

    def run() -> Outcome:
        outcome = run_function(command, event)
        check(json.loads(outcome.body))
        return outcome

    return run
