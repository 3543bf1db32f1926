"""The artifact: the ONNX files of a run, and the variants that were measured beside the original."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from onnxlet_training.page.markup import Html, Section, element, join, table
from onnxlet_training.page.summary import percent, size


def variants(found: Sequence[Mapping[str, Any]]) -> Section | None:
    """What each variant costs and is worth; the first is the original."""
    if not found:
        return None
    head = ["variant", "bytes", "zipped", "accuracy", "time for one row", "published"]
    rows = [_variant(each, found[0]) for each in found]
    body = element("div", table(head, rows, "stack"), class_="panel")
    note = "Measured in one run, each beside the original; time as a ratio to the original's, so shorter is faster."
    return Section("variants", "Variants", body, note)


def export(files: Sequence[Mapping[str, Any]], folder: Path) -> Section | None:
    """How near each file comes to the network, and which operators it is made of."""
    found = [_file(each, folder / each["file"]) for each in files]
    return Section("export", "ONNX", join(found)) if found else None


def _variant(variant: Mapping[str, Any], original: Mapping[str, Any]) -> list[Html]:
    is_original = variant is original
    ratio = original["size_bytes"] / variant["size_bytes"] if variant["size_bytes"] else 0.0
    smaller = f"{ratio:.1f} times smaller" if ratio >= 1.05 else ""
    points = 100 * (variant["accuracy"] - original["accuracy"])
    verdict = element("b", "yes" if variant["is_kept"] else "no", class_="good" if variant["is_kept"] else "bad")
    share = min(1.0, variant["latency_ratio"] / 2)
    bar = element("span", element("i", style=f"--share:{share:.3f}"), class_="bar")
    return [
        element("th", variant["name"], scope="row"),
        _cell("bytes", f"{variant['size_bytes']:,}", smaller),
        _cell("zipped", f"{variant['zipped_bytes']:,}", ""),
        _cell("accuracy", percent(variant["accuracy"]), "" if is_original else f"{points:+.2f} points"),
        element("td", f"{variant['latency_ratio']:.2f}", bar, data_label="time"),
        element(
            "td", verdict, element("span", variant["reason"], class_="small"), data_label="published", class_="text"
        ),
    ]


def _cell(label: str, figure: str, note: str) -> Html:
    return element("td", figure, element("span", note, class_="small") if note else "", data_label=label)


def _file(file: Mapping[str, Any], path: Path) -> Html:
    operators = sorted(file["operators"].items(), key=lambda item: -item[1])
    chips = [element("li", name, element("b", str(count))) for name, count in operators]
    bytes_text = f", {size(path.stat().st_size)}" if path.is_file() else ""
    text = f"within {file['max_difference']:.1g} of the network on the test split"
    count = sum(file["operators"].values())
    return element(
        "div",
        element("h3", file["file"], element("span", f"{bytes_text}; {text}; {count} operators", class_="small")),
        element("ul", *chips, class_="chips"),
        class_="panel",
    )
