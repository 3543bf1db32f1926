"""`onnxlet bench`: measures cold starts, warm requests and events, and prints the figures."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from onnxlet_cli import output
from onnxlet_cli.bench.options import CACHE, EVENT_RUNS, RUNS, SIZES, WARM_RUNS, Options, parse_names
from onnxlet_cli.bench.results import Section
from onnxlet_cli.bench.throttle import Throttle
from onnxlet_cli.options import finite

app = typer.Typer(
    help="Measure cold starts, warm requests and events, and compare them with typical deployments.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

ModelsOption = Annotated[
    str | None, typer.Option(metavar="NAMES", help=f"Models, some of {','.join(SIZES)} (default: all).")
]
RunsOption = Annotated[int, typer.Option(min=1, help="Rounds that count; one more comes first and does not count.")]
BandwidthOption = Annotated[
    float, typer.Option(callback=finite, min=0.1, metavar="MB/S", help="Bandwidth of each connection to S3.")
]
FirstByteOption = Annotated[
    float, typer.Option(callback=finite, min=0, metavar="MS", help="Time until the first byte of a response of S3.")
]
NoThrottleOption = Annotated[bool, typer.Option("--no-throttle", help="Let S3 be as fast as this machine.")]
PackageOption = Annotated[
    Path | None,
    typer.Option(
        exists=True, metavar="ZIP|DIR", help="Measure this package of `onnxlet package`, not the source tree."
    ),
]
ChartOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Also draw the figures into a .png, .svg or .pdf file.")
]
CacheOption = Annotated[Path, typer.Option(metavar="DIR", help="Folder of the generated models.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON with every sample, for programs.")]


@app.command()
def cold(
    models: ModelsOption = None,
    runs: RunsOption = RUNS,
    bandwidth: BandwidthOption = 85,
    first_byte_ms: FirstByteOption = 20,
    no_throttle: NoThrottleOption = False,
    package: PackageOption = None,
    cache: CacheOption = CACHE,
    chart: ChartOption = None,
    json: JsonOption = False,
) -> None:
    """Measure the time from the spawn of a process to its first right answer, with the model loaded from S3."""
    # Imported here, as below, so that the command starts without numpy.
    from onnxlet_cli.bench.cold import measure_cold

    throttle = _throttle(bandwidth, first_byte_ms, no_throttle)
    options = Options(parse_names(models), runs, throttle, package, cache)
    _run([lambda: measure_cold(options, _progress)], chart, json)


@app.command()
def warm(
    runs: RunsOption = WARM_RUNS,
    cache: CacheOption = CACHE,
    chart: ChartOption = None,
    json: JsonOption = False,
) -> None:
    """Measure what the handler adds to requests of a loaded model: in one process, over HTTP and under a CPU quota."""
    from onnxlet_cli.bench.warm import measure_warm

    _run([lambda: measure_warm(Options(runs=runs, cache=cache), _progress)], chart, json)


@app.command()
def events(
    runs: RunsOption = EVENT_RUNS,
    bandwidth: BandwidthOption = 85,
    first_byte_ms: FirstByteOption = 20,
    no_throttle: NoThrottleOption = False,
    cache: CacheOption = CACHE,
    chart: ChartOption = None,
    json: JsonOption = False,
) -> None:
    """Measure photos in a bucket, in the batches of a queue, to their results in S3."""
    from onnxlet_cli.bench.events import measure_events

    options = Options(runs=runs, throttle=_throttle(bandwidth, first_byte_ms, no_throttle), cache=cache)
    _run([lambda: measure_events(options, _progress)], chart, json)


@app.command("all")
def all_parts(
    models: ModelsOption = None,
    runs: Annotated[int, typer.Option(min=1, help="Rounds of cold starts; the other parts have their own.")] = RUNS,
    bandwidth: BandwidthOption = 85,
    first_byte_ms: FirstByteOption = 20,
    package: PackageOption = None,
    cache: CacheOption = CACHE,
    chart: ChartOption = None,
    json: JsonOption = False,
) -> None:
    """Measure cold starts, with and without a throttle, warm requests and events: ten minutes on two cores."""
    from onnxlet_cli.bench.cold import measure_cold
    from onnxlet_cli.bench.events import measure_events
    from onnxlet_cli.bench.warm import measure_warm

    options = Options(parse_names(models), runs, _throttle(bandwidth, first_byte_ms, False), package, cache)
    unthrottled = replace(options, throttle=Throttle(None, 0.0), runs=(runs + 1) // 2)
    parts = [
        lambda: measure_cold(options, _progress),
        lambda: measure_cold(unthrottled, _progress),
        lambda: measure_warm(replace(options, runs=WARM_RUNS), _progress),
        lambda: measure_events(replace(options, runs=EVENT_RUNS), _progress),
    ]
    _run(parts, chart, json)


def _throttle(bandwidth: float, first_byte_ms: float, is_off: bool) -> Throttle:
    return Throttle(None, 0.0) if is_off else Throttle(bandwidth * 1e6, first_byte_ms / 1000)


def _progress(text: str) -> None:
    output.progress().print(text, style="dim", highlight=False)


def _run(parts: Sequence[Callable[[], Section]], chart: Path | None, json: bool) -> None:
    """Measure the parts, print the results, and draw them into `chart` if it is given."""
    from onnxlet_cli.bench import machine, report
    from onnxlet_cli.bench.chart import draw
    from onnxlet_cli.chart import require_chart

    described = machine.describe()
    if chart is not None:
        require_chart("--chart", chart)  # before minutes of measuring
    sections = [part() for part in parts]
    if chart is not None:
        draw([panel for section in sections for panel in section.panels], described, chart)
    if json:
        output.print_json(report.to_document(described, sections))
    else:
        report.print_report(described, sections)
