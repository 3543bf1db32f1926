"""Warm requests: what a handler adds to the model's own run, in one process, over HTTP and under a CPU quota."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import fmean

import numpy as np

from onnxlet.settings.parsers import MEMORY_PER_CPU_MIB
from onnxlet_cli.bench.cpu_quota import limited
from onnxlet_cli.bench.deployment import BASELINES, SITE_PACKAGES
from onnxlet_cli.bench.http_client import Client
from onnxlet_cli.bench.models import BenchModel, load_model
from onnxlet_cli.bench.options import Options, Progress
from onnxlet_cli.bench.payloads import read_v2_binary, v2_binary, v2_path
from onnxlet_cli.bench.results import Comparison, Panel, Section
from onnxlet_cli.bench.series import Series, interleave
from onnxlet_cli.bench.stage import REGISTRY, Stage, open_stage
from onnxlet_cli.bench.throttle import Throttle
from onnxlet_cli.bench.worker import Worker
from onnxlet_cli.local.cloud_function import serve_cloud_function
from onnxlet_publishing.errors import MachineError

QUOTA_ROUNDS = 10
SMALL_FUNCTION_MIB = 512
SMALL_FUNCTION_CPUS = 0.29
"""CPU time that Lambda gives to a function of this size."""

CALLS = {"tiny": 50, "mobile": 3}
"""Calls in a row, before it is another case's turn."""
HTTP_CALLS = 25
QUOTA_CALLS = 40
"""Calls that last several of the kernel's periods: within one, a process runs at full speed and then not at all."""

SPINNING_S = 0.02
"""Time for which threads of a session with default options may still use a CPU after its last run."""

OWN_CASES = ("run", "own session", "handle binary", "aws_http binary", "handle json", "aws_http json")

Block = Callable[[], Sequence[float]]

NOTES = (
    "session.run is onnxruntime's Python API on numpy arrays, with default graph optimisation and one thread.",
    "handle is App.handle on a raw body: only the protocol.",
    "aws_http is the whole entry point on a Function URL's event, base64 in and out, without awslambdaric.",
    "HTTP: gcp_http and a handler that only calls session.run, each served by functions-framework (gunicorn).",
)


def measure_warm(options: Options, progress: Progress) -> Section:
    """Time calls of loaded models, in blocks that take turns.

    Raises:
        MachineError: moto is not installed, or a server did not start.
        FreshProcessError: A case does not answer.
        WrongAnswerError: A case answers wrongly.
    """
    series: list[Series] = []
    comparisons: list[Comparison] = []
    panels: list[Panel] = []
    notes = list(NOTES)
    with open_stage(Throttle(None, 0.0)) as stage:
        models = {name: load_model(name, options.cache) for name in CALLS}
        for name, model in models.items():
            stage.upload(f"models/{name}.onnx", model.path.read_bytes())
            stage.publish(name, model)
            progress(f"warm {name}, in the process")
            cases = _in_process(stage, model, options.runs)
            series += cases.values()
            comparisons += compare(name, cases)
            panels += to_panels(name, cases)
        progress("warm tiny, over HTTP")
        cases = _over_http(stage, models["tiny"], options.runs)
        series += cases.values()
        what = "gcp_http over HTTP, tiny binary / bare session.run"
        comparisons.append(Comparison("warm http / bare", what, cases["gcp_http"], cases["bare"]))
        progress("warm mobile, under a CPU quota")
        try:
            cases = _under_quota(stage, models["mobile"])
        except MachineError as error:
            notes.append(f"{error}; the row was left out.")
        else:
            series += cases.values()
            what = f"{SMALL_FUNCTION_CPUS} CPU, mobile: handle / session.run by default"
            comparisons.append(Comparison("warm quota / default threads", what, cases["ours"], cases["default"]))
    return Section("warm", "Warm: the handler compared with the model's own run", series, comparisons, notes, panels)


def compare(name: str, cases: Mapping[str, Series]) -> list[Comparison]:
    """Return the figures of one model in one process."""
    run = cases["run"]
    if name == "tiny":
        return [
            Comparison(f"warm tiny {form} - run", f"V2 {form}, tiny: {what} minus session.run", cases[case], run, "us")
            for form in ("binary", "json")
            for case, what in ((f"aws_http {form}", "aws_http"), (f"handle {form}", "handle"))
        ]
    figures = (
        ("warm mobile binary / run", "V2 binary, mobile: handle / session.run", "handle binary"),
        ("warm mobile event / run", "V2 binary in base64, mobile: aws_http / session.run", "aws_http binary"),
        ("warm mobile json / run", "V2 JSON, mobile: aws_http / session.run", "aws_http json"),
        ("warm mobile typical / run", "the same as JSON, mobile: typical / session.run", "typical json"),
    )
    own = "V2 binary, mobile: handle / only onnxlet's session"
    return [
        *(Comparison(key, what, cases[case], run) for key, what, case in figures),
        Comparison("warm mobile binary / own run", own, cases["handle binary"], cases["own session"]),
    ]


def to_panels(name: str, cases: Mapping[str, Series]) -> list[Panel]:
    """Return the chart's panels for one model in one process."""
    if name != "mobile":
        return []
    bars = {
        "onnxlet, binary": cases["aws_http binary"],
        "onnxlet, JSON": cases["aws_http json"],
        "session.run": cases["run"],
        "typical, JSON": cases["typical json"],
    }
    return [Panel(f"Warm request, {name} (602 KB in)", bars)]


def _in_process(stage: Stage, model: BenchModel, rounds: int) -> dict[str, Series]:
    """Measure onnxlet's calls and the bare run in one process, and the typical handler in another.

    The session of the typical handler has default options, so its threads spin for a while after each run.
    """
    calls = CALLS[model.name]
    unit, factor = ("us", 1e6) if model.name == "tiny" else ("ms", 1e3)
    with ExitStack() as stack:
        ours, other = (stack.enter_context(stage.worker(model, MEMORY_PER_CPU_MIB)) for _ in range(2))
        cases = {case: _block(ours, case, calls) for case in OWN_CASES}
        cases["typical json"] = _block(other, "typical json", max(1, calls // 5), spins=True)
        return _series(f"{model.name}: ", unit, factor, interleave(cases, rounds))


def _under_quota(stage: Stage, model: BenchModel) -> dict[str, Series]:
    """Measure onnxlet's one thread, which does not spin, and a session with a spinning thread for each core.

    Raises:
        MachineError: The machine does not allow a quota.
    """
    with ExitStack() as stack:
        ours, other = (stack.enter_context(stage.worker(model, SMALL_FUNCTION_MIB)) for _ in range(2))
        cases = {
            "ours": _block(ours, "handle binary", QUOTA_CALLS, is_mean=True),
            "default": _block(other, "run, default threads", QUOTA_CALLS, spins=True, is_mean=True),
        }
        for block in cases.values():  # loads the model, which is not measured
            block()
        for process in (ours, other):
            stack.enter_context(limited(process.process.pid, SMALL_FUNCTION_CPUS))
        return _series(f"mobile at {SMALL_FUNCTION_CPUS} CPU: ", "ms", 1e3, interleave(cases, QUOTA_ROUNDS))


def _over_http(stage: Stage, model: BenchModel, rounds: int) -> dict[str, Series]:
    """Measure two servers of functions-framework in turns."""
    inputs = model.arrays()
    body, headers = v2_binary(inputs)
    function = {"ONNXLET_REGISTRY": REGISTRY, "ONNXLET_MODEL": model.name}
    variables = {**stage.environment("", function), "K_SERVICE": "bench", "PYTHONPATH": str(SITE_PACKAGES)}
    bare_variables = {**variables, "MODEL_PATH": str(model.path)}
    with ExitStack() as stack:
        ours = Client(_serve(stack, stage, "gcp_http", variables, stage.deployment.folder / "main.py"))
        other = Client(_serve(stack, stage, "handle", bare_variables, BASELINES / "bare_http.py"))
        (array,) = inputs.values()
        model.check(read_v2_binary(*ours.post(v2_path(model.name), body, headers)))
        model.check(np.frombuffer(other.post("/", array.tobytes(), {})[1], np.float32))
        cases: dict[str, Block] = {
            "gcp_http": lambda: ours.seconds(v2_path(model.name), body, headers, HTTP_CALLS),
            "bare": lambda: other.seconds("/", array.tobytes(), {}, HTTP_CALLS),
        }
        return _series("tiny over HTTP: ", "us", 1e6, interleave(cases, rounds))


def _serve(stack: ExitStack, stage: Stage, target: str, variables: Mapping[str, str], source: Path) -> str:
    """Serve a function until the stack ends; return its URL."""
    log = stack.enter_context((stage.scratch / f"{target}.log").open("wb"))
    return stack.enter_context(serve_cloud_function(target, variables, log=log, source=source))


def _block(process: Worker, case: str, calls: int, *, spins: bool = False, is_mean: bool = False) -> Block:
    """Return a block of calls, which ends when its session's threads no longer spin, or whose only sample is a mean."""

    def measure() -> Sequence[float]:
        seconds = process.measure(case, calls)
        if spins:
            time.sleep(SPINNING_S)
        return [fmean(seconds)] if is_mean else seconds

    return measure


def _series(
    prefix: str, unit: str, factor: float, measured: Iterable[tuple[str, Sequence[float]]]
) -> dict[str, Series]:
    """Return the samples of each case over all rounds."""
    samples: dict[str, list[float]] = {}
    for case, seconds in measured:
        samples.setdefault(case, []).extend(duration_s * factor for duration_s in seconds)
    return {case: Series(f"{prefix}{LABELS.get(case, case)}", tuple(values), unit) for case, values in samples.items()}


LABELS = {
    "run": "session.run",
    "own session": "only onnxlet's session",
    "ours": f"onnxlet, mean of {QUOTA_CALLS}",
    "default": f"session.run by default, mean of {QUOTA_CALLS}",
    "bare": "a handler of session.run",
}
