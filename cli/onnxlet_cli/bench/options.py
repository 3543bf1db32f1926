"""What is measured, and how often: the options that all parts of the benchmark share."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from onnxlet.errors import InvalidRequestError
from onnxlet_cli.bench.throttle import Throttle

SIZES = {"tiny": "10 KB", "cnn": "1.2 MB", "mobile": "14 MB", "resnet50": "102 MB", "text": "268 MB"}
"""The models, and how large their files are."""

CACHE = Path(".onnxlet/bench")

RUNS = 15

Progress = Callable[[str], None]
"""Is told what is measured next."""


@dataclass(frozen=True)
class Options:
    """What is measured, and how often."""

    models: tuple[str, ...] = tuple(SIZES)
    """For cold starts."""
    runs: int = RUNS
    """Rounds that count; before them is one that does not."""
    throttle: Throttle = field(default_factory=Throttle)
    package: Path | None = None
    """A package of `onnxlet package`; None takes the source tree."""
    cache: Path = CACHE
    """Where the generated models are kept."""


def parse_names(text: str | None) -> tuple[str, ...]:
    """Read models' names with commas between them; None gives all.

    Raises:
        InvalidRequestError: a name that no model has.
    """
    if text is None:
        return tuple(SIZES)
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    for name in names:
        if name not in SIZES:
            raise InvalidRequestError(f"--models {name}: expected some of {', '.join(SIZES)}")
    return names
