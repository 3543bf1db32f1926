"""`onnxlet explain`: shows which parts of a file decided a classifier's answer, with the functions' own code."""

from base64 import b64decode
from pathlib import Path
from typing import Annotated, Any

import typer

from onnxlet.explain import DEFAULT_MS, DEFAULT_RUNS
from onnxlet.limits import MAX_EXPLAIN_MS, MAX_EXPLAIN_RUNS, MIN_EXPLAIN_RUNS
from onnxlet_cli import output
from onnxlet_cli.commands.predict import post_file
from onnxlet_cli.options import JsonOption, RegistryOption
from onnxlet_cli.registry import open_registry

SHOWN = 20
"""The most numbers, columns or words that are printed: those that contribute most."""


def explain(
    name: Annotated[str, typer.Argument(help="Name of the model: NAME or NAME@ALIAS.")],
    file: Annotated[Path, typer.Argument(help="An image, one row as JSON or .npy, or a text.")],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="File for the overlay (default: FILE.explained.png here).")
    ] = None,
    target: Annotated[str | None, typer.Option(help="Label to explain (default: the predicted one).")] = None,
    budget_runs: Annotated[
        int, typer.Option(min=MIN_EXPLAIN_RUNS, max=MAX_EXPLAIN_RUNS, help="The most rows to run through the model.")
    ] = DEFAULT_RUNS,
    budget_ms: Annotated[int, typer.Option(min=1, max=MAX_EXPLAIN_MS, help="The most milliseconds.")] = DEFAULT_MS,
    registry: RegistryOption = None,
    json: JsonOption = False,
) -> None:
    """Show which regions of an image, columns of a row or words of a text decided a classifier's answer."""
    query = {"budget_runs": str(budget_runs), "budget_ms": str(budget_ms), **({"target": target} if target else {})}
    answer = post_file(open_registry(registry).store.url, f"/v2/models/{name}/explain", file, query)
    picture = answer.get("overlay")
    path = out or Path(f"{file.stem}.explained.png")
    if picture is not None:
        path.write_bytes(b64decode(picture["b64"]))
    if not json:
        output.print_line(
            f"{answer['model']} version {answer['version']}: {answer['label']} {answer['probability']:.4f}"
        )
    if picture is None:
        line = f"The baseline (zeros, or no words) has probability {answer['baseline_probability']:.4f}"
    else:
        line = f"Orange supports the label, blue opposes it: {path}"
    effort = f"{answer['runs']} runs, {answer['milliseconds']:.0f} ms"
    rows = [_row(item) for item in answer.get("contributions", [])[:SHOWN]]
    output.show(answer, line, effort, rows=rows, json=json)


def _row(item: dict[str, Any]) -> output.Row:
    """Return the row of one number, column or word."""
    if "index" in item:
        item = {**item, "number": f"{item['input']}[{', '.join(map(str, item['index']))}]"}
    return {name: item[name] for name in ("number", "column", "word", "value", "contribution") if name in item}
