"""Charts as SVG inside a page: they take its colours, and need nothing but it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from onnxlet_training.page.markup import Html, element

LEFT, RIGHT, TOP, BOTTOM = 44, 14, 12, 38
"""Margins in pixels, for the numbers and names of the axes."""
TICKS = 5
MAX_DOTS = 40
"""A line of more points is drawn without a dot at each."""

Point = tuple[float, float]


@dataclass(frozen=True)
class Frame:
    """The field of a chart: which values its edges stand for."""

    x: tuple[float, float]
    y: tuple[float, float]
    width: int = 400
    height: int = 250

    def at(self, point: Point) -> Point:
        """Where a point lies, in pixels."""
        across = (point[0] - self.x[0]) / (self.x[1] - self.x[0])
        up = (point[1] - self.y[0]) / (self.y[1] - self.y[0])
        return LEFT + across * (self.width - LEFT - RIGHT), self.height - BOTTOM - up * (self.height - TOP - BOTTOM)

    def line(self, points: Sequence[Point], class_: str) -> Html:
        """A line through points."""
        places = " ".join(f"{x:.1f},{y:.1f}" for x, y in map(self.at, points))
        return element("polyline", points=places, class_=class_)

    def area(self, points: Sequence[Point], class_: str) -> Html:
        """What lies between a line and the lower edge."""
        closed = [(points[0][0], self.y[0]), *points, (points[-1][0], self.y[0])]
        places = " ".join(f"{x:.1f},{y:.1f}" for x, y in map(self.at, closed))
        return element("polygon", points=places, class_=class_)

    def dot(self, point: Point, text: str, class_: str, radius: float = 3) -> Html:
        """A dot that says what it is where a pointer rests on it."""
        x, y = self.at(point)
        return element("circle", element("title", text), cx=x, cy=y, r=radius, class_=class_)

    def text(self, place: Point, text: str, anchor: str) -> Html:
        """A text at a place in pixels."""
        return element("text", text, x=place[0], y=place[1], text_anchor=anchor)

    def axes(self, x_name: str, x_ticks: Sequence[float], y_ticks: Sequence[float]) -> list[Html]:
        """Faint lines at the ticks of the upright axis, and the numbers of both."""
        low, right = self.height - BOTTOM, self.width - RIGHT
        found = []
        for value in y_ticks:
            y = self.at((self.x[0], value))[1]
            found.append(element("line", x1=LEFT, x2=right, y1=y, y2=y, class_="grid"))
            found.append(self.text((LEFT - 8, y + 4), f"{value:.4g}", "end"))
        for value in x_ticks:
            x = self.at((value, self.y[0]))[0]
            found.append(self.text((x, low + 16), f"{value:.4g}", "middle"))
        return [*found, self.text(((LEFT + right) / 2, self.height - 5), x_name, "middle")]

    def svg(self, description: str, body: Sequence[Html], class_: str = "chart") -> Html:
        """The whole chart."""
        box = f"0 0 {self.width} {self.height}"
        return element("svg", *body, viewBox=box, class_=class_, role="img", aria_label=description)


def curves(name: str, series: Mapping[str, Sequence[float]], kept: int) -> Html | None:
    """A measure over the epochs, a line for each series; None where there is no finite number.

    Args:
        name: The measure's.
        series: The values at epochs 1, 2, 3 ..., by the class of the line.
        kept: The epoch that is marked.
    """
    lines = {
        kind: [(float(epoch), value) for epoch, value in enumerate(values, 1) if math.isfinite(value)]
        for kind, values in series.items()
    }
    values = [value for points in lines.values() for _, value in points]
    if not values:
        return None
    last = max(map(len, series.values()))
    y_ticks = ticks(min(values), max(values))
    frame = Frame((1, max(last, 2)), (y_ticks[0], y_ticks[-1]))
    epochs = (
        [value for value in ticks(1, last) if value == int(value) and 1 <= value <= last] if last > 2 else [1, last]
    )
    mark = [(float(kept), frame.y[0]), (float(kept), frame.y[1])]
    body = [*frame.axes("epoch", epochs, y_ticks), frame.line(mark, "mark")]
    for kind, points in lines.items():
        body.append(frame.line(points, f"line {kind}"))
        body += [
            frame.dot(point, f"{kind}, epoch {point[0]:.0f}: {point[1]:.4f}", f"dot {kind}", 4 if is_kept else 2.5)
            for point in points
            if (is_kept := point[0] == kept) or len(points) <= MAX_DOTS
        ]
    return frame.svg(f"{name} over the epochs", body)


def roc(points: Sequence[Point]) -> Html:
    """The rate of hits against the rate of false alarms."""
    frame = Frame((0, 1), (0, 1), height=300)
    body = [
        *_unit_axes(frame, "false positives"),
        frame.area(points, "area validation"),
        frame.line([(0, 0), (1, 1)], "mark"),
        frame.line(points, "line validation"),
    ]
    return frame.svg("ROC curve", body)


def reliability(bins: Sequence[tuple[float, float, int]]) -> Html:
    """Confidence against the share that was right: a dot for each bin, larger where it holds more examples."""
    frame = Frame((0, 1), (0, 1), height=300)
    most = max(count for *_, count in bins)
    body = [*_unit_axes(frame, "confidence"), frame.line([(0, 0), (1, 1)], "mark")]
    for confidence, accuracy, _ in bins:
        body.append(frame.line([(confidence, confidence), (confidence, accuracy)], "gap"))
    for confidence, accuracy, count in bins:
        text = f"{count} examples: confidence {confidence:.3f}, right {accuracy:.3f}"
        body.append(frame.dot((confidence, accuracy), text, "dot validation bubble", 3 + 8 * math.sqrt(count / most)))
    return frame.svg("accuracy against confidence", body)


def histogram(name: str, edges: Sequence[float], shares: Mapping[str, Sequence[float]]) -> Html:
    """How a measure is distributed in each of some groups, by the class of the bars; shares of a group, in [0, 1]."""
    top = max(value for values in shares.values() for value in values) or 1.0
    frame = Frame((edges[0], edges[-1]), (0, top * 1.05), width=640, height=260)
    x_ticks = [value for value in ticks(edges[0], edges[-1], 2 * TICKS) if edges[0] <= value <= edges[-1]]
    body = frame.axes(name, x_ticks, [])
    for kind, values in shares.items():
        steps = [
            (edge, value)
            for left, right, value in zip(edges, edges[1:], values, strict=False)
            for edge in (left, right)
        ]
        body += [frame.area(steps, f"area {kind}"), frame.line(steps, f"line {kind}")]
    body.append(frame.line([(edges[0], 0), (edges[-1], 0)], "base"))
    return frame.svg(f"distribution of the {name}", body, "chart wide")


def ticks(low: float, high: float, count: int = TICKS) -> list[float]:
    """Round numbers, about `count`, that hold the range between them."""
    if high <= low:
        low, high = low - 0.5, low + 0.5
    rough = (high - low) / (count - 1)
    power = 10 ** math.floor(math.log10(rough))
    step = next(size * power for size in (1, 2, 2.5, 5, 10) if size * power >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]


def _unit_axes(frame: Frame, x_name: str) -> list[Html]:
    quarters = (0, 0.25, 0.5, 0.75, 1)
    return frame.axes(x_name, quarters, quarters)
