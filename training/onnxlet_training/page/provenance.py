"""Provenance: what a run was made from, and how it is repeated."""

import shlex
from collections.abc import Mapping
from typing import Any

from onnxlet_training.page.markup import Html, Section, element
from onnxlet_training.page.summary import duration


def section(record: Mapping[str, Any]) -> Section:
    """The data, the seed, the code and the libraries."""
    options, frameworks = record["options"], record["frameworks"]
    facts = {
        "data": options.get("data") or "the recipe's own",
        "SHA-256 of the data": record["data_sha256"],
        "seed": options["seed"],
        "epochs asked for": options.get("epochs"),
        "code": record.get("git_revision") or "not in a checkout",
        "trained for": duration(record["train"]["duration_s"]),
        "backend": frameworks.get("backend"),
    }
    items = [_fact(name, str(value)) for name, value in facts.items() if value is not None]
    versions = [element("li", name, element("b", version)) for name, version in frameworks.items() if name != "backend"]
    items.append(element("div", element("dt", "versions"), element("dd", element("ul", *versions, class_="chips"))))
    return Section("provenance", "Provenance", element("dl", *items, class_="panel"))


def command(record: Mapping[str, Any]) -> Section:
    """The exact command."""
    text = shlex.join(record["command"])
    return Section("repeat", "Run it again", element("pre", element("code", text), class_="panel"))


def _fact(name: str, value: str) -> Html:
    return element("div", element("dt", name), element("dd", value))
