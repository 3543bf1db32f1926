"""`onnxlet explain`: why a classifier answers a file as it does, as the functions would say it, in this process."""

from base64 import b64decode
from pathlib import Path
from typing import Annotated, Any

import typer

from onnxlet.explain import DEFAULT_MS, DEFAULT_RUNS
from onnxlet.limits import MAX_EXPLAIN_MS, MAX_EXPLAIN_RUNS, MIN_EXPLAIN_RUNS
from onnxlet_cli import output
from onnxlet_cli.options import JsonOption, RegistryOption
from onnxlet_cli.predict import ask
from onnxlet_cli.registry import open_registry

SHOWN = 20
"""Numbers of a row, of those that contribute most."""


def explain(
    name: Annotated[str, typer.Argument(help="The model: NAME or NAME@ALIAS.")],
    file: Annotated[Path, typer.Argument(help="An image, or one row as JSON or .npy, as `predict` takes them.")],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="For the overlay, by default FILE.explained.png here.")
    ] = None,
    target: Annotated[str | None, typer.Option(help="A label, by default the predicted one.")] = None,
    budget_runs: Annotated[
        int, typer.Option(min=MIN_EXPLAIN_RUNS, max=MAX_EXPLAIN_RUNS, help="Rows through the model, at most.")
    ] = DEFAULT_RUNS,
    budget_ms: Annotated[int, typer.Option(min=1, max=MAX_EXPLAIN_MS, help="Milliseconds, at most.")] = DEFAULT_MS,
    registry: RegistryOption = None,
    json: JsonOption = False,
) -> None:
    """Show what of an image, or which numbers of a row, made a classifier answer as it did."""
    query = {"budget_runs": str(budget_runs), "budget_ms": str(budget_ms), **({"target": target} if target else {})}
    answer = ask(open_registry(registry).store.url, f"/v2/models/{name}/explain", file, query)
    picture = answer.get("overlay")
    path = out or Path(f"{file.stem}.explained.png")
    if picture is not None:
        path.write_bytes(b64decode(picture["b64"]))
    if json:
        output.print_json(answer)
        return
    output.print_line(f"{answer['model']} version {answer['version']}: {answer['label']} {answer['probability']:.4f}")
    if picture is None:
        output.print_table([_row(item) for item in answer["contributions"][:SHOWN]])
        output.print_line(f"The baseline, zeros, has {answer['baseline_probability']:.4f}")
    else:
        output.print_line(f"Orange speaks for it, blue against it: {path}")
    output.print_line(f"{answer['runs']} runs, {answer['milliseconds']:.0f} ms")


def _row(item: dict[str, Any]) -> output.Row:
    place = ", ".join(map(str, item["index"]))
    return {"number": f"{item['input']}[{place}]", **{key: item[key] for key in ("value", "contribution")}}
