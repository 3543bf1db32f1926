"""`onnxlet cost`: reads the options, compares, and prints."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from onnxlet.errors import InvalidRequestError
from onnxlet.settings.variables import MEMORY_PER_CPU_MIB
from onnxlet_cli import output
from onnxlet_cli.cost import workload as workloads
from onnxlet_cli.cost.compare import compare, to_document
from onnxlet_cli.cost.prices import FILE, load_prices
from onnxlet_cli.cost.report import print_report
from onnxlet_cli.cost.workload import Workload
from onnxlet_cli.options import finite

SIZES = "512,1024,1769,3008"
LARGEST_MIB = 10_240
MOST_REQUESTS = 10**12


def cost(
    bench: Annotated[
        Path | None, typer.Option(metavar="FILE.json", help="What `onnxlet bench all --json` printed.")
    ] = None,
    logs: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A function's log: its JSON lines, or Lambda's REPORT lines.")
    ] = None,
    milliseconds: Annotated[
        float | None, typer.Option(callback=finite, min=0.001, help="Of a warm request, as measured.")
    ] = None,
    memory: Annotated[
        int, typer.Option(metavar="MIB", min=128, max=LARGEST_MIB, help="Of the function that took --milliseconds.")
    ] = MEMORY_PER_CPU_MIB,
    cold_milliseconds: Annotated[
        float | None, typer.Option(callback=finite, min=0, help="Of a start, as measured; Lambda bills it.")
    ] = None,
    cold_share: Annotated[
        str | None, typer.Option(metavar="SHARE", help="Of the requests that start a process; 1% by default.")
    ] = None,
    payload_kb: Annotated[
        float | None,
        typer.Option(callback=finite, min=0, help="Of a request and its answer together, which SageMaker bills."),
    ] = None,
    requests_per_month: Annotated[str, typer.Option(metavar="N[,N]", help="The traffics to show.")] = "1000000",
    sizes: Annotated[str, typer.Option(metavar="MIB[,MIB]", help="The memory sizes to show.")] = SIZES,
    provisioned: Annotated[int, typer.Option(min=0, help="Environments of Lambda that are kept ready.")] = 0,
    free_tier: Annotated[bool, typer.Option("--free-tier", help="Take off what is free each month.")] = False,
    prices: Annotated[
        Path, typer.Option(metavar="FILE", help="Prices of another date or region, in the form of prices.json.")
    ] = FILE,
    model: Annotated[str | None, typer.Option(help="With --bench: one of its models.")] = None,
    form: Annotated[str, typer.Option(help="With --bench: binary or json tensors.")] = "binary",
    chart: Annotated[Path | None, typer.Option(metavar="FILE", help="Also draw it into a PNG.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")] = False,
) -> None:
    """What a month of requests costs on Lambda, Cloud Run, SageMaker and a machine that is always on."""
    found = _workload(bench, logs, milliseconds, memory, model, form)
    if cold_milliseconds is not None:
        found = replace(found, cold_milliseconds=cold_milliseconds)
    if cold_share is not None:
        found = replace(found, cold_share=workloads.parse_share(cold_share, "--cold-share"))
    if payload_kb is not None:
        found = replace(found, payload_bytes=payload_kb * 1000)
    requests = workloads.parse_numbers(requests_per_month, "--requests-per-month", 1, MOST_REQUESTS)
    sizes_mib = workloads.parse_numbers(sizes, "--sizes", 128, LARGEST_MIB)
    comparison = compare(found, load_prices(prices, has_free_tier=free_tier), requests, sizes_mib, provisioned)
    if chart is not None:
        # Imported only here: few ask for a picture.
        from onnxlet_cli.bench.chart import require_chart
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
    """The workload by the one source that is named.

    Raises:
        InvalidRequestError: none is, or several are, or it cannot be read.
    """
    if sum(source is not None for source in (bench, logs, milliseconds)) != 1:
        raise InvalidRequestError("expected one of --milliseconds N, --bench FILE.json and --logs FILE")
    if bench is not None:
        return workloads.read_bench(bench, model, form)
    if logs is not None:
        return workloads.read_logs(logs)
    assert milliseconds is not None, "it is the one that is left"
    return workloads.measured(milliseconds, memory_mib)
