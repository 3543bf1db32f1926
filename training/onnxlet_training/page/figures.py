"""Figures as a person reads them."""

import math

LABELS = {
    "f1": "mean F1",
    "auc": "mean AUC",
    "anomaly_auc": "anomaly AUC",
    "feature_distance_of_real_images": "feature distance, real",
    "characters": "alphabet",
}
"""Labels of measures whose name is not a label."""

SHARES = {"accuracy", "calibration_error"}
"""Measures shown in percent."""


def label(name: str) -> str:
    """Return the label of a measure."""
    return LABELS.get(name, name.replace("_", " "))


def figure(name: str, value: float) -> str:
    """Return a measure's value as text."""
    if name in SHARES and math.isfinite(value):
        return percent(value)
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4f}" if 0.001 <= abs(value) < 10 else f"{value:.4g}"


def duration(seconds: float) -> str:
    """Return a duration as `4.5 s`, `3 min 20 s` or `2 h 5 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def size(size_bytes: int) -> str:
    """Return a file's size as `142.8 kB`."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size_bytes >= scale:
            return f"{size_bytes / scale:.1f} {unit}"
    return f"{size_bytes} bytes"


def percent(share: float) -> str:
    """Return a share in percent with two decimals, but never a round 100 for less than all."""
    rounded = round(share * 100, 2)
    return f"{min(rounded, 99.99) if share < 1 else rounded:.4g} %"
