"""`onnxlet cost`: compares what a month of requests costs on several platforms."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from onnxlet.settings.parsers import MEMORY_PER_CPU_MIB
from onnxlet_cli import output
from onnxlet_cli.cost import workload as workloads
from onnxlet_cli.cost.compare import compare, to_document
from onnxlet_cli.cost.prices import FILE, load_prices
from onnxlet_cli.cost.report import print_report
from onnxlet_cli.cost.workload import Workload
from onnxlet_cli.options import JsonOption, finite
from onnxlet_publishing.errors import UsageError

SIZES = "512,1024,1769,3008"
LARGEST_MIB = 10_240
MOST_REQUESTS = 10**12


def cost(
    bench: Annotated[
        Path | None, typer.Option(metavar="FILE.json", help="Document of `onnxlet bench all --json`.")
    ] = None,
    logs: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Log of a function: its JSON lines, or Lambda's REPORT lines.")
    ] = None,
    milliseconds: Annotated[
        float | None, typer.Option(callback=finite, min=0.001, help="Measured duration of a warm request.")
    ] = None,
    memory: Annotated[
        int,
        typer.Option(metavar="MIB", min=128, max=LARGEST_MIB, help="Memory of the function that took --milliseconds."),
    ] = MEMORY_PER_CPU_MIB,
    cold_milliseconds: Annotated[
        float | None,
        typer.Option(callback=finite, min=0, help="Measured duration of the init phase, which Lambda bills."),
    ] = None,
    cold_share: Annotated[
        str | None,
        typer.Option(metavar="SHARE", help="Share of the requests that start a process, as 1% (the default) or 0.01."),
    ] = None,
    payload_kb: Annotated[
        float | None,
        typer.Option(
            callback=finite, min=0, help="Size of a request and its response together, which SageMaker bills."
        ),
    ] = None,
    requests_per_month: Annotated[
        str, typer.Option(metavar="N[,N]", help="Numbers of requests a month to show.")
    ] = "1000000",
    sizes: Annotated[str, typer.Option(metavar="MIB[,MIB]", help="Memory sizes to show.")] = SIZES,
    provisioned: Annotated[int, typer.Option(min=0, help="Provisioned environments of Lambda.")] = 0,
    free_tier: Annotated[bool, typer.Option("--free-tier", help="Subtract the free tier of each month.")] = False,
    prices: Annotated[
        Path, typer.Option(metavar="FILE", help="Prices of another date or region, in the form of prices.json.")
    ] = FILE,
    model: Annotated[
        str | None, typer.Option(help="With --bench: a model in the document (default: the first).")
    ] = None,
    form: Annotated[str, typer.Option(help="With --bench: form of the tensors, binary or json.")] = "binary",
    chart: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also draw the comparison into a .png, .svg or .pdf file.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Compare what a month of requests costs on Lambda, Cloud Run, SageMaker and an always-on instance."""
    workload = _workload(bench, logs, milliseconds, memory, model, form)
    if cold_milliseconds is not None:
        workload = replace(workload, cold_milliseconds=cold_milliseconds)
    if cold_share is not None:
        workload = replace(workload, cold_share=workloads.parse_share(cold_share, "--cold-share"))
    if payload_kb is not None:
        workload = replace(workload, payload_bytes=payload_kb * 1000)
    requests = workloads.parse_numbers(requests_per_month, "--requests-per-month", 1, MOST_REQUESTS)
    sizes_mib = workloads.parse_numbers(sizes, "--sizes", 128, LARGEST_MIB)
    comparison = compare(workload, load_prices(prices, has_free_tier=free_tier), requests, sizes_mib, provisioned)
    if chart is not None:
        # Imported here: most runs draw nothing.
        from onnxlet_cli.chart import require_chart
        from onnxlet_cli.cost.chart import draw

        require_chart("--chart", chart)
        draw(comparison, chart)
    if json:
        output.print_json(to_document(comparison))
    else:
        print_report(comparison)


def _workload(
    bench: Path | None, logs: Path | None, milliseconds: float | None, memory_mib: int, model: str | None, form: str
) -> Workload:
    """Return the workload from the one source that the user names.

    Raises:
        UsageError: The user names no source or several, or the source cannot be read.
    """
    if sum(source is not None for source in (bench, logs, milliseconds)) != 1:
        raise UsageError("expected one of --milliseconds N, --bench FILE.json and --logs FILE")
    if bench is not None:
        return workloads.read_bench(bench, model, form)
    if logs is not None:
        return workloads.read_logs(logs)
    assert milliseconds is not None, "one of the three sources is given"
    return workloads.measured(milliseconds, memory_mib)
