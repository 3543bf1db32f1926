"""The summary of a deployment: documents for machines, and lines and tables for people."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from onnxlet_cli import output
from onnxlet_cli.cost.report import usd
from onnxlet_cli.deploy.cloud import Cloud, Outputs, Retained
from onnxlet_cli.deploy.deployment import Deployment, Plan
from onnxlet_cli.deploy.smoke import Answer


def document(cloud: Cloud, done: Deployment) -> dict[str, Any]:
    """Return a deployment as a JSON document."""
    return {
        **cloud.document(),
        "outputs": asdict(done.outputs),
        "package": {"path": str(done.package.path), "sha256": done.package.sha256},
        "model": done.published.live.model,
        "version": done.published.live.version,
        "answer": asdict(done.answer) if isinstance(done.answer, Answer) else None,
        "object": None if done.object_answer is None else asdict(done.object_answer),
    }


def plan_document(cloud: Cloud, planned: Plan) -> dict[str, Any]:
    """Return a plan as a JSON document."""
    return {
        **cloud.document(),
        "is_new": planned.is_new,
        "model": planned.source.name,
        "package": {"path": str(planned.package.path), "sha256": planned.package.sha256},
        "changes": [asdict(change) for change in planned.changes],
        "requests_per_month": planned.requests_per_month,
        "monthly_usd": planned.bill.monthly_usd,
        "idle_usd": planned.bill.idle_usd,
        "parts_usd": dict(planned.bill.parts_usd),
        "assumptions": list(planned.bill.assumptions),
    }


def removal_document(cloud: Cloud, retained: Sequence[Retained]) -> dict[str, Any]:
    """Return a removal, with the resources that are left, as a JSON document."""
    return {**cloud.document(), "kept": [asdict(resource) for resource in retained]}


def print_deployment(cloud: Cloud, done: Deployment) -> None:
    """Print the URLs of a deployment and how to use it."""
    live = done.published.live
    output.print_line("")
    for name, url in places(done.outputs):
        output.print_line(f"{name:<10} {url}")
    if live.version != done.published.version:
        output.print_warning(
            f"{live.model} version {done.published.version} was published before, and version {live.version} is live "
            f"now: onnxlet promote {live.model} {done.published.version} --registry {done.outputs.registry_url}"
        )
    for purpose, lines in cloud.describe(done.outputs, live.model):
        output.print_line(f"\n{purpose}")
        for line in lines:
            output.print_line(f"  {line}")


def print_plan(planned: Plan) -> None:
    """Print the changes of a plan and the costs."""
    rows = [{"action": change.action, "resource": change.resource, "type": change.kind} for change in planned.changes]
    if rows:
        output.print_table(rows)
    output.print_line(f"{len(rows) or 'no'} change{'' if len(rows) == 1 else 's'}; nothing was changed")
    bill = planned.bill
    output.print_line(f"\n${bill.monthly_usd:,.2f} a month for {planned.requests_per_month:,} requests:")
    output.print_line(f"  {', '.join(f'{part} {usd(amount)}' for part, amount in bill.parts_usd.items())}")
    output.print_line(f"  {usd(bill.idle_usd)} of it is billed even without any request")
    for assumption in bill.assumptions:
        output.print_line(f"  {assumption}")


def print_removal(retained: Sequence[Retained]) -> None:
    """Print the resources that are left, with the commands that remove them."""
    if not retained:
        output.print_line("Everything is removed")
        return
    output.print_line("Everything is removed, except what is kept on purpose; to remove that as well, for ever:")
    for resource in retained:
        output.print_line(f"  {resource.remedy}")


def places(outputs: Outputs) -> list[tuple[str, str]]:
    """Return the URLs of a deployment with their names."""
    return [
        ("HTTPS", outputs.http_url),
        ("registry", outputs.registry_url),
        ("input", outputs.input_url),
        ("results", outputs.results_url),
    ]
