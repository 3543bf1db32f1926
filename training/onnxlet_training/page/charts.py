"""Charts for the page, as places in pixels; `charts.html` draws them as SVG in the page's colours."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

LEFT, RIGHT, TOP, BOTTOM = 44, 14, 12, 38
"""Margins in pixels, for the numbers and names of the axes."""
TICKS = 5
MAX_DOTS = 40
"""The largest number of points of a line that is drawn with a dot at each."""

Point = tuple[float, float]
QUARTERS = (0, 0.25, 0.5, 0.75, 1)


@dataclass(frozen=True)
class Line:
    """A line through places in pixels, or an area if it is filled."""

    places: Sequence[Point]
    kind: str
    is_area: bool = False


@dataclass(frozen=True)
class Dot:
    """A dot that shows a text when the pointer rests on it."""

    place: Point
    text: str
    kind: str
    radius: float


@dataclass
class Chart:
    """A chart, whose `x` and `y` are the values at the edges of its field."""

    description: str
    x: Point
    y: Point
    width: int = 400
    height: int = 250
    kind: str = "chart"
    texts: list[tuple[Point, str, str]] = field(default_factory=list)
    """The place of each text, the text, and its `text-anchor`."""
    marks: list[Line | Dot] = field(default_factory=list)

    def at(self, point: Point) -> Point:
        """Return the place of a point in pixels."""
        across = (point[0] - self.x[0]) / (self.x[1] - self.x[0])
        up = (point[1] - self.y[0]) / (self.y[1] - self.y[0])
        return LEFT + across * (self.width - LEFT - RIGHT), self.height - BOTTOM - up * (self.height - TOP - BOTTOM)

    def line(self, points: Sequence[Point], kind: str) -> None:
        """Draw a line through points."""
        self.marks.append(Line([self.at(point) for point in points], kind))

    def area(self, points: Sequence[Point], kind: str) -> None:
        """Fill the area between a line and the lower edge."""
        closed = [(points[0][0], self.y[0]), *points, (points[-1][0], self.y[0])]
        self.marks.append(Line([self.at(point) for point in closed], kind, is_area=True))

    def dot(self, point: Point, text: str, kind: str, radius: float = 3) -> None:
        """Draw a dot at a point."""
        self.marks.append(Dot(self.at(point), text, kind, radius))

    def axes(self, x_name: str, x_ticks: Sequence[float], y_ticks: Sequence[float]) -> None:
        """Draw faint lines at the ticks of the vertical axis, and the numbers of both axes."""
        for value in y_ticks:
            self.line([(self.x[0], value), (self.x[1], value)], "grid")
            self.texts.append(((LEFT - 8, self.at((self.x[0], value))[1] + 4), f"{value:.4g}", "end"))
        for value in x_ticks:
            place = (self.at((value, self.y[0]))[0], self.height - BOTTOM + 16)
            self.texts.append((place, f"{value:.4g}", "middle"))
        self.texts.append((((LEFT + self.width - RIGHT) / 2, self.height - 5), x_name, "middle"))


def curves(name: str, series: Mapping[str, Sequence[float]], kept: int) -> Chart | None:
    """Draw a measure over the epochs, with a line for each series; return None without a finite number.

    A series has the values at epochs 1, 2, 3 ..., by the kind of line; the epoch `kept` is marked.
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
    epochs = [1, last] if last <= 2 else [tick for tick in ticks(1, last) if tick == int(tick) and 1 <= tick <= last]
    chart = Chart(f"{name} over the epochs", (1, max(last, 2)), (y_ticks[0], y_ticks[-1]))
    chart.axes("epoch", epochs, y_ticks)
    chart.line([(kept, chart.y[0]), (kept, chart.y[1])], "mark")
    for kind, points in lines.items():
        chart.line(points, f"line {kind}")
        for epoch, value in points:
            if epoch == kept or len(points) <= MAX_DOTS:
                text = f"{kind}, epoch {epoch:.0f}: {value:.4f}"
                chart.dot((epoch, value), text, f"dot {kind}", 4 if epoch == kept else 2.5)
    return chart


def roc(points: Sequence[Point]) -> Chart:
    """Draw the true positive rate over the false positive rate."""
    chart = Chart("ROC curve", (0, 1), (0, 1), height=300)
    chart.axes("false positives", QUARTERS, QUARTERS)
    chart.area(points, "area validation")
    chart.line([(0, 0), (1, 1)], "mark")
    chart.line(points, "line validation")
    return chart


def reliability(bins: Sequence[Mapping[str, float]]) -> Chart:
    """Draw the accuracy over the confidence, with a larger dot for a bin with more examples."""
    chart = Chart("accuracy over confidence", (0, 1), (0, 1), height=300)
    chart.axes("confidence", QUARTERS, QUARTERS)
    chart.line([(0, 0), (1, 1)], "mark")
    most = max(group["count"] for group in bins)
    for group in bins:
        chart.line([(group["confidence"], group["confidence"]), (group["confidence"], group["accuracy"])], "gap")
    for group in bins:
        text = f"{group['count']} examples: confidence {group['confidence']:.3f}, accuracy {group['accuracy']:.3f}"
        radius = 3 + 8 * math.sqrt(group["count"] / most)
        chart.dot((group["confidence"], group["accuracy"]), text, "dot validation bubble", radius)
    return chart


def histogram(name: str, edges: Sequence[float], shares: Mapping[str, Sequence[float]]) -> Chart:
    """Draw the distribution of a measure in each group: shares in [0, 1] between edges, by the kind of bars."""
    top = max(value for values in shares.values() for value in values) or 1.0
    span, heights = (edges[0], edges[-1]), (0, top * 1.05)
    chart = Chart(f"distribution of the {name}", span, heights, 640, 260, "chart wide")
    chart.axes(name, [value for value in ticks(*span, 2 * TICKS) if span[0] <= value <= span[1]], [])
    for kind, values in shares.items():
        bars = zip(edges, edges[1:], values, strict=False)
        steps = [(edge, value) for left, right, value in bars for edge in (left, right)]
        chart.area(steps, f"area {kind}")
        chart.line(steps, f"line {kind}")
    chart.line([(span[0], 0), (span[1], 0)], "base")
    return chart


def ticks(low: float, high: float, count: int = TICKS) -> list[float]:
    """Return about `count` round numbers whose range contains the given one."""
    if high <= low:
        low, high = low - 0.5, low + 0.5
    rough = (high - low) / (count - 1)
    power = 10 ** math.floor(math.log10(rough))
    step = next(size * power for size in (1, 2, 2.5, 5, 10) if size * power >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]
