"""The command killed at each of its writes: nothing that was told is lost, nothing half-written is ever seen."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest

from onnxlet.registry.registry import Registry
from onnxlet.storage import open_store
from tests.conftest import BUCKET
from tests.crashes.commands import write_models
from tests.crashes.front import MOMENTS, Front, Moment
from tests.crashes.ground import Ground, Kill

WRITES = 22
"""Of all steps: three blobs, a manifest and an alias for each version, but none for the staged one; three moves. On S3
the conditions of the store are tried as well, at the first version of each model."""

VARIABLES = {"s3": "AWS_ENDPOINT_URL", "gs": "STORAGE_EMULATOR_HOST"}


class Writes(Ground):
    """Where commands reach a new registry through a front, and we past it."""

    def __init__(self, scheme: str, front: Front, endpoint: str, folder: Path) -> None:
        root = f"{scheme}://{BUCKET}/{uuid.uuid4()}"
        environment = {"ONNXLET_REGISTRY": root, VARIABLES[scheme]: endpoint}
        super().__init__(folder, environment, Registry(open_store(root, front.storage)))
        self.front = front

    def kill_at(self, write: int, moment: Moment) -> bool:
        """Run what is left, killed at a write; whether it came to its end instead."""
        self.front.aim(write, moment)
        return self.run(self.aimed)

    @contextmanager
    def aimed(self, kill: Kill) -> Iterator[None]:
        self.front.victim(kill)
        yield

    def go_on(self) -> None:
        """Run what is left to its end."""
        assert self.kill_at(10 * WRITES, "before")
        self.check_end()


def test_a_user_whose_commands_are_killed_again_and_again_loses_nothing(tmp_path: Path, s3_endpoint: str) -> None:
    """Each time one write later than the last, and at another moment of it."""
    write_models(tmp_path)
    front = Front(s3_endpoint)
    with front.serving() as url:
        ground = Writes("s3", front, url, tmp_path)
        for write in count():
            if ground.kill_at(write, MOMENTS[write % len(MOMENTS)]):
                break
        ground.go_on()
    assert ground.kills > WRITES / 2


@pytest.mark.faults
@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("scheme", VARIABLES)
def test_a_command_killed_at_any_write_is_gone_on_with(
    tmp_path: Path, scheme: str, moment: Moment, s3_endpoint: str, gcs_endpoint: str
) -> None:
    write_models(tmp_path)
    front = Front(s3_endpoint if scheme == "s3" else gcs_endpoint)
    with front.serving() as url:
        for write in count():
            ground = Writes(scheme, front, url, tmp_path)
            is_ended = ground.kill_at(write, moment)
            ground.go_on()
            if is_ended:
                break
    assert write >= WRITES
