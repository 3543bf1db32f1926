"""Charts as SVG for a page: they take its colours, and need nothing but it."""

from collections.abc import Sequence
from html import escape

WIDTH, HEIGHT = 420, 240
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 12, 30
TICKS = 4

Point = tuple[float, float]


def lines(series: dict[str, Sequence[float]], mark: int | None = None) -> str:
    """Values over 1, 2, 3 ..., a line for each of at most two series, with a vertical mark at one place."""
    values = [value for each in series.values() for value in each]
    low, high = min(values), max(values)
    low, high = (low - 0.5, high + 0.5) if low == high else (low, high)
    count = max(len(each) for each in series.values())
    body = [_grid(low, high, count)]
    if mark is not None:
        x = _x(mark, count)
        body.append(f'<line class="ideal" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>')
    for kind, each in zip(("first", "second"), series.values(), strict=False):
        points = " ".join(f"{_x(step, count):.1f},{_y(value, low, high):.1f}" for step, value in enumerate(each, 1))
        body.append(f'<polyline class="{kind}" points="{points}"/>')
    return _svg(", ".join(series), body)


def reliability(points: Sequence[tuple[float, float, int]]) -> str:
    """Confidence against the share that was right, a dot for each bin, larger where it holds more."""
    most = max(count for _, _, count in points)
    body = [_grid(0.0, 1.0, 0)]
    ends = [(_across(0.0), _y(0.0, 0, 1)), (_across(1.0), _y(1.0, 0, 1))]
    body.append('<line class="ideal" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>'.format(*ends[0], *ends[1]))
    for confidence, accuracy, count in points:
        radius = 3 + 7 * (count / most) ** 0.5
        body.append(
            f'<circle class="dot" cx="{_across(confidence):.1f}" cy="{_y(accuracy, 0, 1):.1f}" r="{radius:.1f}"/>'
        )
    body.append(f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 8}" text-anchor="end">confidence</text>')
    return _svg("confidence against accuracy", body)


def _svg(title: str, body: Sequence[str]) -> str:
    head = f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title, quote=True)}">'
    return head + "".join(body) + "</svg>"


def _grid(low: float, high: float, count: int) -> str:
    """Horizontal lines with their values, and the first and the last step below."""
    parts = []
    for tick in range(TICKS + 1):
        value = low + (high - low) * tick / TICKS
        y = _y(value, low, high)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.3g}</text>')
    if count:
        parts.append(f'<text x="{_x(1, count):.1f}" y="{HEIGHT - 8}">1</text>')
        parts.append(f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 8}" text-anchor="end">epoch {count}</text>')
    return "".join(parts)


def _x(step: float, count: int) -> float:
    return _across((step - 1) / max(1, count - 1))


def _across(share: float) -> float:
    return LEFT + share * (WIDTH - LEFT - RIGHT)


def _y(value: float, low: float, high: float) -> float:
    return HEIGHT - BOTTOM - (value - low) / (high - low) * (HEIGHT - TOP - BOTTOM)
