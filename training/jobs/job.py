"""The job: what shall be trained, where, and on what machines."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from onnxlet.errors import InvalidRequestError

MAX_HOURS = 24
"""After so many the cloud ends a job that hangs."""


@dataclass(frozen=True)
class Job:
    """A training run for a cloud."""

    recipe: str
    parameters: Mapping[str, str]
    """Options of `onnxlet train` by their names; `registry` among them."""
    image: str
    """The container's URI; `training/Dockerfile` makes it."""
    output: str
    """The URL under which checkpoints, model and report are kept."""
    gpu: str | None = None
    """The kind of GPU: `t4`, `l4`, `a100` ...; None trains on CPUs."""
    instances: int = 1
    is_spot: bool = False
    region: str | None = None

    def name(self) -> str:
        """A new name for the job."""
        return f"onnxlet-{re.sub('[^a-z0-9]+', '-', self.recipe)}-{datetime.now(UTC):%Y%m%d-%H%M%S}"


def machine(kinds: Mapping[str | None, str], gpu: str | None) -> str:
    """The machine with this kind of GPU.

    Raises:
        InvalidRequestError: the cloud has none that we know.
    """
    if gpu not in kinds:
        raise InvalidRequestError(f"--gpu {gpu}: expected one of {', '.join(kind for kind in kinds if kind)}")
    return kinds[gpu]
