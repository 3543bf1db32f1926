"""`onnxlet bench`: reads the options, measures, and prints."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from onnxlet_cli import output
from onnxlet_cli.bench.options import CACHE, RUNS, SIZES, Options, parse_names
from onnxlet_cli.bench.results import Section
from onnxlet_cli.bench.throttle import Throttle
from onnxlet_cli.options import finite

app = typer.Typer(
    help="Measure cold starts, warm requests and events beside what people deploy.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

ModelsOption = Annotated[str | None, typer.Option(metavar="NAMES", help=f"Some of {','.join(SIZES)}.")]
BandwidthOption = Annotated[
    float, typer.Option(callback=finite, min=0.1, metavar="MB/S", help="Of S3, on each connection.")
]
FirstByteOption = Annotated[
    float, typer.Option(callback=finite, min=0, metavar="MS", help="What S3 takes to its first byte.")
]
NoThrottleOption = Annotated[bool, typer.Option("--no-throttle", help="S3 as fast as this machine.")]
PackageOption = Annotated[
    Path | None,
    typer.Option(
        exists=True, metavar="ZIP|DIR", help="Measure this package of `onnxlet package`, not the source tree."
    ),
]
ChartOption = Annotated[Path | None, typer.Option(metavar="FILE", help="Also draw the figures into a PNG.")]
CacheOption = Annotated[Path, typer.Option(metavar="DIR", help="Where the generated models are kept.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON with every sample, for machines.")]


@app.command()
def cold(
    models: ModelsOption = None,
    runs: Annotated[int, typer.Option(min=1, help="Rounds that count, after one that does not.")] = RUNS,
    bandwidth: BandwidthOption = 85,
    first_byte_ms: FirstByteOption = 20,
    no_throttle: NoThrottleOption = False,
    package: PackageOption = None,
    cache: CacheOption = CACHE,
    chart: ChartOption = None,
    json: JsonOption = False,
) -> None:
    """Spawn of a process under awslambdaric to its first right answer, the model's way from S3 included."""
    # Imported only here, as below: the command starts without numpy.
    from onnxlet_cli.bench.cold import measure_cold

    throttle = _throttle(bandwidth, first_byte_ms, no_throttle)
    options = Options(parse_names(models), runs, throttle, package, cache)
    _run([lambda: measure_cold(options, _progress)], chart, json)


@app.command()
def warm(
    runs: Annotated[int, typer.Option(min=1, help="Rounds of blocks that count, after one that does not.")] = 60,
    cache: CacheOption = CACHE,
    chart: ChartOption = None,
    json: JsonOption = False,
) -> None:
    """A loaded model's requests: what the handler adds, in the process, over HTTP and under a CPU quota."""
    from onnxlet_cli.bench.warm import measure_warm

    _run([lambda: measure_warm(Options(cache=cache), runs, _progress)], chart, json)


@app.command()
def events(
    runs: Annotated[int, typer.Option(min=1, help="Rounds that count, after one that does not.")] = 5,
    bandwidth: BandwidthOption = 85,
    first_byte_ms: FirstByteOption = 20,
    no_throttle: NoThrottleOption = False,
    cache: CacheOption = CACHE,
    chart: ChartOption = None,
    json: JsonOption = False,
) -> None:
    """Photos in a bucket, in the batches of a queue, to results in S3."""
    from onnxlet_cli.bench.events import measure_events

    options = Options(throttle=_throttle(bandwidth, first_byte_ms, no_throttle), cache=cache)
    _run([lambda: measure_events(options, runs, _progress)], chart, json)


@app.command("all")
def all_parts(
    models: ModelsOption = None,
    runs: Annotated[int, typer.Option(min=1, help="Of cold starts; the other parts have their own.")] = RUNS,
    bandwidth: BandwidthOption = 85,
    first_byte_ms: FirstByteOption = 20,
    package: PackageOption = None,
    cache: CacheOption = CACHE,
    chart: ChartOption = None,
    json: JsonOption = False,
) -> None:
    """Cold, cold without a throttle (half the runs), warm and events; some ten minutes on two cores."""
    from onnxlet_cli.bench.cold import measure_cold
    from onnxlet_cli.bench.events import ROUNDS as EVENT_ROUNDS
    from onnxlet_cli.bench.events import measure_events
    from onnxlet_cli.bench.warm import ROUNDS as WARM_ROUNDS
    from onnxlet_cli.bench.warm import measure_warm

    options = Options(parse_names(models), runs, _throttle(bandwidth, first_byte_ms, False), package, cache)
    unthrottled = replace(options, throttle=_throttle(0, 0, True), runs=(runs + 1) // 2)
    parts = [
        lambda: measure_cold(options, _progress),
        lambda: measure_cold(unthrottled, _progress),
        lambda: measure_warm(options, WARM_ROUNDS, _progress),
        lambda: measure_events(options, EVENT_ROUNDS, _progress),
    ]
    _run(parts, chart, json)


def _throttle(bandwidth: float, first_byte_ms: float, is_off: bool) -> Throttle:
    return Throttle(None, 0.0) if is_off else Throttle(bandwidth * 1e6, first_byte_ms / 1000)


def _progress(text: str) -> None:
    output.progress().print(text, style="dim", highlight=False)


def _run(parts: Sequence[Callable[[], Section]], chart: Path | None, json: bool) -> None:
    """Measure the parts, print what was found, and draw it where that is asked for."""
    from onnxlet_cli.bench import machine, report
    from onnxlet_cli.bench.chart import draw, require_chart

    described = machine.describe()
    if chart is not None:
        require_chart("--chart", chart)  # before minutes have gone
    sections = [part() for part in parts]
    if chart is not None:
        draw([panel for section in sections for panel in section.panels], described, chart)
    if json:
        output.print_json(report.to_document(described, sections))
    else:
        report.print_report(described, sections)
