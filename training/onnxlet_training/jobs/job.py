"""The job: what shall be trained, where, and on what machines."""

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from onnxlet.errors import InvalidRequestError

CHECKPOINTS = "ONNXLET_CHECKPOINTS"
"""The variable that tells a job's processes the URL under which the platform keeps the run's folder."""

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
    """The URL under which checkpoints, model and report are kept, for each job in a folder of its name."""
    gpu: str | None = None
    """The kind of GPU: `t4`, `l4`, `a100` ...; None trains on CPUs."""
    instances: int = 1
    is_spot: bool = False
    region: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables of the job's processes: how the registry's store is reached."""

    def name(self) -> str:
        """A new name for the job, which no other has: two that shared one would go on from each other's checkpoints."""
        recipe = re.sub("[^a-z0-9]+", "-", self.recipe)
        return f"onnxlet-{recipe}-{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def machine(kinds: Mapping[str | None, str], gpu: str | None) -> str:
    """The machine with this kind of GPU.

    Raises:
        InvalidRequestError: the cloud has none that we know.
    """
    if gpu not in kinds:
        raise InvalidRequestError(f"--gpu {gpu}: expected one of {', '.join(kind for kind in kinds if kind)}")
    return kinds[gpu]


def check_url(option: str, url: str, scheme: str) -> None:
    """Look whether a job can reach what an option names.

    Raises:
        InvalidRequestError: it is not a URL of the cloud's own object storage.
    """
    if not url.startswith(f"{scheme}://"):
        raise InvalidRequestError(f"{option} {url}: expected a URL of {scheme}://, which the job can reach")
