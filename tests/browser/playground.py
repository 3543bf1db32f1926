"""The page as a person uses it, with all that the browser complains about and every host that it asks."""

from base64 import b64encode
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from playwright.sync_api import ConsoleMessage, Locator, Page, Request

SIDE = 280
"""Of the canvas, in its own pixels."""

Point = tuple[int, int]

ONE: list[list[Point]] = [[(105, 85), (150, 50), (150, 230)]]
"""A digit, stroke by stroke."""

LOADING_MS = 60_000
"""Until the runtime and a model have come into the browser, on a busy machine."""


DROP = """(target, [name, data, type]) => {
  const transfer = new DataTransfer();
  const bytes = Uint8Array.from(atob(data), (character) => character.charCodeAt(0));
  transfer.items.add(new File([bytes], name, { type }));
  const fire = (kind) => target.dispatchEvent(
    new DragEvent(kind, { bubbles: true, cancelable: true, dataTransfer: transfer }));
  fire("dragenter");
  return !fire("dragover") && !fire("drop");
}"""
"""Fires the events of a drop; gives whether the page took it, so that the browser does nothing itself."""


class Playground:
    """One open page."""

    def __init__(self, page: "Page") -> None:
        self.page = page
        self.complaints: list[str] = []
        """Of the page's scripts, and of the browser about them."""
        self.expected: set[str] = set()
        """Paths whose refusal is what a test is about: a browser logs each."""
        self.hosts: set[str] = set()
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", self._see)

    def open(self, url: str, model: str = "digits") -> None:
        self.page.goto(url)
        self.choose_model(model)

    def choose_model(self, model: str) -> None:
        self.page.get_by_label("Model").select_option(model)
        self.page.locator(f"#input[data-model='{model}']").wait_for()

    def draw(self, strokes: list[list[Point]]) -> None:
        box = self.page.locator("canvas").bounding_box()
        assert box is not None
        scale = box["width"] / SIDE
        for stroke in strokes:
            places = [(box["x"] + x * scale, box["y"] + y * scale) for x, y in stroke]
            self.page.mouse.move(*places[0])
            self.page.mouse.down()
            for place in places[1:]:
                self.page.mouse.move(*place, steps=5)
            self.page.mouse.up()

    def drop(self, path: Path, target: str, media_type: str = "image/png") -> None:
        """Drop a file on what a selector names, as a browser does: it opens the file itself where nobody takes it."""
        data = b64encode(path.read_bytes()).decode()
        is_taken = self.page.locator(target).first.evaluate(DROP, [path.name, data, media_type])
        if not is_taken:
            self.page.goto(path.as_uri())

    def choose(self, place: str) -> None:
        self.page.locator(f"#where label:has(input[value={place}])").click()

    def answer(self, place: str) -> dict[str, float]:
        """The probabilities by label, as they are drawn: the widths of the bars."""
        side = self.side(place)
        side.locator(".bars").wait_for(timeout=LOADING_MS)
        bars: dict[str, float] = side.evaluate(
            "side => Object.fromEntries([...side.querySelectorAll('.bars li')].map((bar) =>"
            " [bar.querySelector('.label').textContent, Number(bar.dataset.probability)]))"
        )
        return bars

    def side(self, place: str) -> "Locator":
        return self.page.locator(f".side[data-place='{place}']")

    def problem(self) -> str:
        alert = self.page.get_by_role("alert")
        alert.wait_for()
        return str(alert.inner_text())

    def findings(self, axe: str) -> list[str]:
        """What axe-core finds that is serious or worse."""
        self.page.evaluate(axe)
        found: dict[str, Any] = self.page.evaluate("axe.run()")
        return [
            f"{violation['id']}: {node['html'][:200]}"
            for violation in found["violations"]
            if violation["impact"] in {"serious", "critical"}
            for node in violation["nodes"]
        ]

    def _hear(self, message: "ConsoleMessage") -> None:
        path = urlsplit(message.location["url"]).path
        if message.type in {"error", "warning"} and path not in self.expected:
            self.complaints.append(f"{message.text} {path}")

    def _see(self, request: "Request") -> None:
        if request.url.startswith("http"):
            self.hosts.add(urlsplit(request.url).netloc)
