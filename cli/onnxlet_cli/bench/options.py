"""The options that all parts of the benchmark share."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from onnxlet_cli.bench.throttle import Throttle
from onnxlet_publishing.errors import UsageError

SIZES = {
    "tiny": "10 KB",
    "cnn": "1.2 MB",
    "mobile": "14 MB",
    "resnet50": "102 MB",
    "embedder": "90 MB",
    "text": "268 MB",
}
"""The benchmark's models and the sizes of their files."""

CACHE = Path(".onnxlet/bench")

RUNS = 15
EVENT_RUNS = 5
WARM_RUNS = 60
"""The default numbers of rounds: of cold starts, of events and of warm requests."""

Progress = Callable[[str], None]
"""A function that shows what is measured next."""


@dataclass(frozen=True)
class Options:
    """The selection of models and cases, and the number of runs."""

    models: tuple[str, ...] = tuple(SIZES)
    """Models whose cold starts are measured."""
    runs: int = RUNS
    """Rounds that count; one round that does not count comes first."""
    throttle: Throttle = field(default_factory=Throttle)
    package: Path | None = None
    """A package of `onnxlet package`; None takes the source tree."""
    cache: Path = CACHE
    """The folder of the generated models."""


def parse_names(text: str | None) -> tuple[str, ...]:
    """Return the models named in a list with commas; None gives all models.

    Raises:
        UsageError: There is no model of this name.
    """
    if text is None:
        return tuple(SIZES)
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    for name in names:
        if name not in SIZES:
            raise UsageError(f"--models {name}: expected some of {', '.join(SIZES)}")
    return names
