"""The printed comparison: a table, and the assumptions behind its figures."""

from onnxlet_cli import output
from onnxlet_cli.cost.compare import NOT_INCLUDED, Comparison, Row, cheapest
from onnxlet_cli.cost.offers import UTILISATION
from onnxlet_cli.cost.workload import DEFAULT_COLD_MILLISECONDS


def print_report(comparison: Comparison) -> None:
    """Print the table and the assumptions."""
    workload = comparison.workload
    output.print_line(
        f"{workload.source}: {workload.milliseconds:.3g} ms a warm request on a full vCPU; "
        f"{workload.cold_share:.3g} of the requests start cold, in {workload.cold_milliseconds:.0f} ms"
        f"{' (assumed)' if workload.cold_milliseconds == DEFAULT_COLD_MILLISECONDS else ''}"
    )
    output.print_line("")
    output.print_table([*(_offer_row(row, comparison) for row in comparison.rows), *_instance_rows(comparison)])
    output.print_line("")
    output.print_line(_parts(comparison))
    for note in notes(comparison):
        output.print_line(f"- {note}")


def notes(comparison: Comparison) -> list[str]:
    """Return the assumptions behind the figures."""
    prices = comparison.prices
    free_tier = "subtracted" if prices.free else "not subtracted (--free-tier subtracts it)"
    lines = [
        f"List prices in US dollars of {prices.date}, sources in {prices.path}; free tier {free_tier}.",
        f"An instance is assumed to be busy {UTILISATION:.0%} of the time on average; one instance has no redundancy.",
        "arm64 is assumed to be as fast as x86_64, and SageMaker's CPU to grow with memory as Lambda's does.",
        "Cloud Run bills each request in steps of 100 ms; SageMaker bills payloads (--payload-kb), but no starts.",
        f"Not included: {'; '.join(NOT_INCLUDED)}.",
    ]
    if comparison.too_small_mib:
        sizes = ", ".join(map(str, comparison.too_small_mib))
        lines.append(f"Left out, because the process needs {comparison.workload.peak_mib:.0f} MiB: {sizes} MiB.")
    return lines


def usd(amount: float) -> str:
    """Return an amount with enough digits to tell it from 0."""
    return f"${amount:,.2f}" if amount >= 0.01 or amount == 0 else f"${amount:.5f}"


def _parts(comparison: Comparison) -> str:
    """Return the parts of the cheapest offer's cost, for the largest number of requests."""
    offer, requests = next(iter(cheapest(comparison).values())), comparison.requests[-1]
    parts = ", ".join(f"{name} {usd(amount)}" for name, amount in offer.parts(requests).items())
    where = f"{offer.platform} {offer.architecture} with {offer.memory_mib:,} MiB"
    return f"{where}, {requests:,} requests: {parts}"


def _offer_row(row: Row, comparison: Comparison) -> output.Row:
    offer = row.offer
    return {
        "": f"{offer.platform} {offer.architecture}",
        "MiB": f"{offer.memory_mib:,}",
        "ms": f"{offer.milliseconds:.1f}",
        "per million": usd(offer.per_million_usd),
        **{f"at {count:,} a month": usd(offer.monthly_usd(count)) for count in comparison.requests},
        "always on costs less from": "never" if row.break_even is None else f"{row.break_even:,.0f} a month",
    }


def _instance_rows(comparison: Comparison) -> list[output.Row]:
    return [
        {
            "": f"{instance.type.name} {instance.type.architecture}, always on",
            "MiB": f"{instance.type.memory_mib:,}",
            "ms": f"{instance.milliseconds:.1f}",
            "per million": "",
            **{f"at {count:,} a month": usd(instance.monthly_usd(count)) for count in comparison.requests},
            "always on costs less from": "",
        }
        for instance in comparison.instances
    ]
