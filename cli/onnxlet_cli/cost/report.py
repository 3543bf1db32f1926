"""The comparison for people: a table, and what its figures rest on."""

from onnxlet_cli import output
from onnxlet_cli.cost.compare import NOT_INCLUDED, Comparison, Row, cheapest
from onnxlet_cli.cost.offers import UTILISATION
from onnxlet_cli.cost.workload import DEFAULT_COLD_MILLISECONDS


def print_report(comparison: Comparison) -> None:
    """Print the table and the assumptions."""
    workload = comparison.workload
    output.print_line(
        f"{workload.source}: {workload.milliseconds:.3g} ms a warm request on a full vCPU; "
        f"{workload.cold_share:.3g} of the requests are cold, and start in {workload.cold_milliseconds:.0f} ms"
        f"{' (assumed)' if workload.cold_milliseconds == DEFAULT_COLD_MILLISECONDS else ''}"
    )
    output.print_line("")
    output.print_table([*(_offer_row(row, comparison) for row in comparison.rows), *_instance_rows(comparison)])
    output.print_line("")
    output.print_line(_parts(comparison))
    for note in notes(comparison):
        output.print_line(f"- {note}")


def notes(comparison: Comparison) -> list[str]:
    """What the figures rest on."""
    prices = comparison.prices
    allowances = "taken off" if prices.free else "left aside (--free-tier takes them off)"
    found = [
        f"List prices in US dollars of {prices.date}, sources in {prices.path}; allowances {allowances}.",
        f"An instance is taken to be busy {UTILISATION:.0%} of the time on average, and to be alone: two are safer.",
        "arm64 is taken to be as fast as x86_64, and SageMaker's CPU to grow with memory as Lambda's does.",
        "Cloud Run bills one request at a time in steps of 100 ms; SageMaker no start, but payloads (--payload-kb).",
        f"Not included: {'; '.join(NOT_INCLUDED)}.",
    ]
    if comparison.too_small_mib:
        sizes = ", ".join(map(str, comparison.too_small_mib))
        found.append(f"Left out, as the process took {comparison.workload.peak_mib:.0f} MiB: {sizes} MiB.")
    return found


def usd(amount: float) -> str:
    """An amount, with as many digits as tell it from nothing."""
    return f"${amount:,.2f}" if amount >= 0.01 or amount == 0 else f"${amount:.5f}"


def _parts(comparison: Comparison) -> str:
    """What the cheapest offer's largest month is made of."""
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
        **{f"at {each:,} a month": usd(offer.monthly_usd(each)) for each in comparison.requests},
        "always on costs less from": "never" if row.break_even is None else f"{row.break_even:,.0f} a month",
    }


def _instance_rows(comparison: Comparison) -> list[output.Row]:
    return [
        {
            "": f"{instance.type.name} {instance.type.architecture}, always on",
            "MiB": f"{instance.type.memory_mib:,}",
            "ms": f"{instance.milliseconds:.1f}",
            "per million": "",
            **{f"at {each:,} a month": usd(instance.monthly_usd(each)) for each in comparison.requests},
            "always on costs less from": "",
        }
        for instance in comparison.instances
    ]
