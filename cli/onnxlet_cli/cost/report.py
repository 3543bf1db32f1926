"""The printed comparison: a table, and the assumptions behind its figures."""

from collections.abc import Iterator, Sequence

from onnxlet_cli import output
from onnxlet_cli.cost.compare import NOT_INCLUDED, Comparison, cheapest
from onnxlet_cli.cost.offers import UTILISATION, AlwaysOn, Offer
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
    output.print_table(list(_rows(comparison)))
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
    return f"{offer.name} with {offer.memory_mib:,} MiB, {requests:,} requests: {parts}"


def _rows(comparison: Comparison) -> Iterator[output.Row]:
    """Yield the rows of the offers, then those of the instances that they are compared with."""
    for row in comparison.rows:
        offer = row.offer
        less_from = "never" if row.break_even is None else f"{row.break_even:,.0f} a month"
        per_million = usd(offer.per_million_usd)
        yield _row(offer.name, offer.memory_mib, per_million, offer, comparison.requests, less_from)
    for instance in comparison.instances:
        name = f"{instance.name}, always on"
        yield _row(name, instance.type.memory_mib, "", instance, comparison.requests, "")


def _row(
    name: str, memory_mib: int, per_million: str, offer: Offer | AlwaysOn, requests: Sequence[int], less_from: str
) -> output.Row:
    return {
        "": name,
        "MiB": f"{memory_mib:,}",
        "ms": f"{offer.milliseconds:.1f}",
        "per million": per_million,
        **{f"at {count:,} a month": usd(offer.monthly_usd(count)) for count in requests},
        "always on costs less from": less_from,
    }
