"""A job: a recipe, its options, and the machines to train it on."""

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from onnxlet_publishing.errors import UsageError

CHECKPOINTS = "ONNXLET_CHECKPOINTS"
"""The variable with the URL under which the platform keeps the run's folder."""

MAX_HOURS = 24
"""The hours after which the cloud ends a job, which may hang."""


@dataclass(frozen=True)
class Job:
    """A training run for a cloud."""

    recipe: str
    parameters: Mapping[str, str]
    """Options of `onnxlet train` by name, `registry` among them."""
    image: str
    """The container's URI; `training/Dockerfile` makes the image."""
    output: str
    """The URL for checkpoints, model and report, with a folder for each job."""
    gpu: str | None = None
    """The kind of GPU: `t4`, `l4`, `a100` ...; None trains on CPUs."""
    instances: int = 1
    is_spot: bool = False
    region: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables of the job's processes, with which they reach the registry's store."""

    def name(self) -> str:
        """Return a new, unique name: two jobs of one name would continue from each other's checkpoints."""
        recipe = re.sub("[^a-z0-9]+", "-", self.recipe)
        return f"onnxlet-{recipe}-{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def machine(kinds: Mapping[str | None, str], gpu: str | None) -> str:
    """Return the machine type with this kind of GPU.

    Raises:
        UsageError: no machine type is known for it.
    """
    if gpu not in kinds:
        raise UsageError(f"--gpu {gpu}: expected one of {', '.join(kind for kind in kinds if kind)}")
    return kinds[gpu]


def check_url(option: str, url: str, scheme: str) -> None:
    """Check that a job can reach the URL of an option.

    Raises:
        UsageError: the URL is not in the cloud's own object storage.
    """
    if not url.startswith(f"{scheme}://"):
        raise UsageError(f"{option} {url}: expected a URL of {scheme}://, which the job can reach")
