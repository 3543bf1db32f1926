"""Warm requests: what a handler adds to the model's own run, in the process, over HTTP and under a CPU quota."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from statistics import fmean

import numpy as np

from onnxlet.errors import SettingsError
from onnxlet.settings.variables import MEMORY_PER_CPU_MIB
from onnxlet_cli.bench.cpu_quota import limited
from onnxlet_cli.bench.deployment import REFERENCES, SITE_PACKAGES
from onnxlet_cli.bench.models import BenchModel, load_model
from onnxlet_cli.bench.options import Options, Progress
from onnxlet_cli.bench.payloads import read_v2_binary, v2_binary, v2_path
from onnxlet_cli.bench.results import Comparison, Panel, Section
from onnxlet_cli.bench.servers import Client, served
from onnxlet_cli.bench.stage import REGISTRY, Stage, open_stage
from onnxlet_cli.bench.statistics import Series, interleave
from onnxlet_cli.bench.throttle import Throttle
from onnxlet_cli.bench.worker import Worker, python_path

ROUNDS = 60
QUOTA_ROUNDS = 10
SMALL_FUNCTION_MIB = 512
SMALL_FUNCTION_CPUS = 0.29
"""What Lambda gives to so much memory."""

CALLS = {"tiny": 50, "mobile": 3}
"""In a row, before another case has its turn."""
HTTP_CALLS = 25
QUOTA_CALLS = 40
"""Over several of the kernel's periods: within one, a process runs at full speed and then not at all."""

SPINNING_S = 0.02
"""How long threads of a session with default options may still burn a CPU after its last run."""

OWN_CASES = ("run", "own session", "handle binary", "aws_http binary", "handle json", "aws_http json")

Block = Callable[[], Sequence[float]]

NOTES = (
    "session.run is onnxruntime's Python API on ready numpy arrays, default graph optimisation, one thread as ours.",
    "handle is App.handle on a raw body: the protocol alone.",
    "aws_http is the whole entry point on a Function URL's event, base64 in and out, without awslambdaric around it.",
    "HTTP: gcp_http and a handler that only calls session.run, each a server of functions-framework (gunicorn).",
)


def measure_warm(options: Options, rounds: int, progress: Progress) -> Section:
    """Time calls of loaded models, in blocks that take turns.

    Raises:
        SettingsError: moto is not installed, or a server did not start.
        FreshProcessError, WrongAnswerError: a case does not answer, or not rightly.
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
            found = _in_process(stage, model, rounds)
            series += found.values()
            comparisons += compare(name, found)
            panels += to_panels(name, found)
        progress("warm tiny, over HTTP")
        found = _over_http(stage, models["tiny"], rounds)
        series += found.values()
        what = "gcp_http over HTTP, tiny binary / bare session.run"
        comparisons.append(Comparison("warm http / bare", what, found["gcp_http"], found["bare"]))
        progress("warm mobile, under a CPU quota")
        try:
            found = _under_quota(stage, models["mobile"])
        except SettingsError as error:
            notes.append(f"{error}; the row was left out.")
        else:
            series += found.values()
            what = f"{SMALL_FUNCTION_CPUS} CPU, mobile: handle / session.run by default"
            comparisons.append(Comparison("warm quota / default threads", what, found["ours"], found["default"]))
    return Section("warm", "Warm: the handler beside the model's own run", series, comparisons, notes, panels)


def compare(name: str, found: Mapping[str, Series]) -> list[Comparison]:
    """The figures of one model in the process."""
    run = found["run"]
    if name == "tiny":
        return [
            Comparison(f"warm tiny {form} - run", f"V2 {form}, tiny: {what} minus session.run", found[case], run, "us")
            for form in ("binary", "json")
            for case, what in ((f"aws_http {form}", "aws_http"), (f"handle {form}", "handle"))
        ]
    figures = (
        ("warm mobile binary / run", "V2 binary, mobile: handle / session.run", "handle binary"),
        ("warm mobile event / run", "V2 binary in base64, mobile: aws_http / session.run", "aws_http binary"),
        ("warm mobile json / run", "V2 JSON, mobile: aws_http / session.run", "aws_http json"),
        ("warm mobile typical / run", "the same as JSON, mobile: typical / session.run", "typical json"),
    )
    own = "V2 binary, mobile: handle / onnxlet's session alone"
    return [
        *(Comparison(key, what, found[case], run) for key, what, case in figures),
        Comparison("warm mobile binary / own run", own, found["handle binary"], found["own session"]),
    ]


def to_panels(name: str, found: Mapping[str, Series]) -> list[Panel]:
    """What the chart shows of one model in the process."""
    if name != "mobile":
        return []
    bars = {
        "onnxlet, binary": found["aws_http binary"],
        "onnxlet, JSON": found["aws_http json"],
        "session.run": found["run"],
        "typical, JSON": found["typical json"],
    }
    return [Panel(f"Warm request, {name} (602 KB in)", bars)]


def _in_process(stage: Stage, model: BenchModel, rounds: int) -> dict[str, Series]:
    """Our own calls and the run that they are held against in one process; the typical handler in another.

    Its session spins, by default, for a while after each run.
    """
    calls = CALLS[model.name]
    unit, factor = ("us", 1e6) if model.name == "tiny" else ("ms", 1e3)
    with worker(stage, model) as ours, worker(stage, model) as other:
        cases = {case: _block(ours, case, calls) for case in OWN_CASES}
        cases["typical json"] = _spinning(_block(other, "typical json", max(1, calls // 5)))
        return _series(f"{model.name}: ", unit, factor, interleave(cases, rounds))


def _under_quota(stage: Stage, model: BenchModel) -> dict[str, Series]:
    """Our one thread that does not spin, against a thread for each core that does.

    Raises:
        SettingsError: the machine allows no quota.
    """
    with ExitStack() as stack:
        ours, other = (stack.enter_context(worker(stage, model, SMALL_FUNCTION_MIB)) for _ in range(2))
        cases = {
            "ours": _mean(_block(ours, "handle binary", QUOTA_CALLS)),
            "default": _mean(_spinning(_block(other, "run, default threads", QUOTA_CALLS))),
        }
        for block in cases.values():  # loading is not what is measured
            block()
        for process in (ours, other):
            stack.enter_context(limited(process.process.pid, SMALL_FUNCTION_CPUS))
        return _series(f"mobile at {SMALL_FUNCTION_CPUS} CPU: ", "ms", 1e3, interleave(cases, QUOTA_ROUNDS))


def _over_http(stage: Stage, model: BenchModel, rounds: int) -> dict[str, Series]:
    """Two servers of functions-framework, asked in turns."""
    inputs = model.arrays()
    body, headers = v2_binary(inputs)
    function = {"ONNXLET_REGISTRY": REGISTRY, "ONNXLET_MODEL": model.name}
    told = {**stage.environment("", function), "K_SERVICE": "bench", "PYTHONPATH": str(SITE_PACKAGES)}
    bare = {**told, "MODEL_PATH": str(model.path)}
    with ExitStack() as stack:
        source, log = stage.deployment.folder / "main.py", stage.scratch
        our_url = stack.enter_context(served(source, "gcp_http", told, log / "gcp_http.log"))
        bare_url = stack.enter_context(served(REFERENCES / "bare_http.py", "handle", bare, log / "bare.log"))
        ours, other = Client(our_url), Client(bare_url)
        (array,) = inputs.values()
        model.check(read_v2_binary(*ours.post(v2_path(model.name), body, headers)))
        model.check(np.frombuffer(other.post("/", array.tobytes(), {})[1], np.float32))
        cases: dict[str, Block] = {
            "gcp_http": lambda: ours.seconds(v2_path(model.name), body, headers, HTTP_CALLS),
            "bare": lambda: other.seconds("/", array.tobytes(), {}, HTTP_CALLS),
        }
        return _series("tiny over HTTP: ", "us", 1e6, interleave(cases, rounds))


def worker(stage: Stage, model: BenchModel, memory_mib: int = MEMORY_PER_CPU_MIB) -> Worker:
    """A worker with the function and the references of this model, told what Lambda tells of so much memory."""
    folders = [stage.deployment.folder, REFERENCES, SITE_PACKAGES]
    variables = {
        "ONNXLET_REGISTRY": REGISTRY,
        "ONNXLET_MODEL": model.name,
        "AWS_LAMBDA_RUNTIME_API": "bench",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(memory_mib),
        "MODEL_BUCKET": "bench",
        "MODEL_KEY": f"models/{model.name}.onnx",
        "MODEL_PATH": str(stage.scratch / "worker.onnx"),
    }
    return Worker(model.name, model.path.parent, {**stage.environment("", variables), **python_path(folders)})


def _block(process: Worker, case: str, calls: int) -> Block:
    return lambda: process.measure(case, calls)


def _spinning(block: Block) -> Block:
    """A block after which the next one waits until no thread spins any more."""

    def measure() -> Sequence[float]:
        seconds = block()
        time.sleep(SPINNING_S)
        return seconds

    return measure


def _mean(block: Block) -> Block:
    """A block of which only the mean counts."""
    return lambda: [fmean(block())]


def _series(
    prefix: str, unit: str, factor: float, measured: Iterable[tuple[str, Sequence[float]]]
) -> dict[str, Series]:
    """The samples of each case, of all rounds together."""
    samples: dict[str, list[float]] = {}
    for case, seconds in measured:
        samples.setdefault(case, []).extend(one * factor for one in seconds)
    return {case: Series(f"{prefix}{LABELS.get(case, case)}", tuple(found), unit) for case, found in samples.items()}


LABELS = {
    "run": "session.run",
    "own session": "onnxlet's session alone",
    "ours": f"onnxlet, mean of {QUOTA_CALLS}",
    "default": f"session.run by default, mean of {QUOTA_CALLS}",
    "bare": "a handler of session.run",
}
