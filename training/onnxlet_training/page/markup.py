"""Markup: pieces of a page; every text in them is escaped unless it was made here."""

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from pathlib import Path

VOID = {"img", "link", "meta"}
"""Elements that hold nothing, and have no end."""


class Html(str):
    """Markup that may stand in a page as it is."""

    __slots__ = ()


@dataclass(frozen=True)
class Section:
    """A part of the page with a heading."""

    anchor: str
    title: str
    body: Html
    note: str = ""
    """What a reader must know to read it."""

    def to_html(self) -> Html:
        """The part as it stands in the page."""
        note = element("p", self.note, class_="note") if self.note else Html()
        return element("section", element("h2", self.title), note, self.body, id=self.anchor)


def element(name: str, *content: str, **attributes: str | float | None) -> Html:
    """An element of HTML or SVG.

    Args:
        name: The element's.
        content: Texts, which are escaped, and other elements.
        attributes: Those that are None are left out; `class_` becomes `class`, `stroke_width` becomes `stroke-width`.
    """
    named = {key.rstrip("_").replace("_", "-"): value for key, value in attributes.items() if value is not None}
    start = "".join(f' {key}="{escape(_text(value))}"' for key, value in named.items())
    if name in VOID:
        return Html(f"<{name}{start}>")
    return Html(f"<{name}{start}>{join(content)}</{name}>")


def join(content: Iterable[str]) -> Html:
    """Several pieces, one after the other."""
    return Html("".join(each if isinstance(each, Html) else escape(each) for each in content))


def picture(path: Path, description: str, class_: str | None = None) -> Html:
    """A PNG file as a part of the page itself."""
    data = base64.b64encode(path.read_bytes()).decode()
    return element("img", src=f"data:image/png;base64,{data}", alt=description, class_=class_)


def table(head: Iterable[str], rows: Iterable[Iterable[Html]], class_: str | None = None) -> Html:
    """A table that scrolls by itself where the page is narrow; each row is made of cells."""
    heading = element("tr", *(element("th", each, scope="col") for each in head))
    body = element("tbody", *(element("tr", *row) for row in rows))
    return element("div", element("table", element("thead", heading), body, class_=class_), class_="scroll")


def _text(value: str | float) -> str:
    """Coordinates need no more than a tenth of a pixel."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
