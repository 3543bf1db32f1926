"""The command killed while it writes files: as on a store behind HTTP, but for when exactly.

What a process does between two changes of a folder nobody can stop: it is killed right after each change that the
kernel tells of, and at random moments after it.
"""

import random
from itertools import count
from pathlib import Path

import pytest

from onnxlet.registry.registry import Registry
from onnxlet.storage import open_store
from tests.crashes.commands import STEPS, write_models
from tests.crashes.folder_watch import watching
from tests.crashes.ground import Ground

NEVER = 10**6


class Files(Ground):
    """Where the registry is a new folder."""

    def __init__(self, folder: Path) -> None:
        self.store = folder / f"registry-{len(list(folder.iterdir()))}"
        self.store.mkdir()
        root = self.store.as_uri()
        super().__init__(folder, {"ONNXLET_REGISTRY": root}, Registry(open_store(root)))

    def kill_at(self, change: int, delay_s: float = 0) -> bool:
        """Run what is left, killed after a change of the folder; whether it came to its end instead."""
        return self.run(lambda kill: watching(self.store, change, kill, delay_s))

    def go_on(self) -> None:
        """Run what is left to its end."""
        assert self.kill_at(NEVER)
        self.check_end()


def test_a_user_whose_commands_are_killed_again_and_again_loses_no_file(tmp_path: Path) -> None:
    write_models(tmp_path)
    ground = Files(tmp_path)
    for change in count(step=5):
        if ground.kill_at(change):
            break
    ground.go_on()
    assert ground.kills


@pytest.mark.faults
@pytest.mark.parametrize("longest_delay_s", [0, 0.003])
def test_a_command_killed_after_any_change_is_gone_on_with(tmp_path: Path, longest_delay_s: float) -> None:
    chance = random.Random(0)
    write_models(tmp_path)
    for change in count():
        ground = Files(tmp_path)
        is_over = ground.kill_at(change, chance.uniform(0, longest_delay_s))
        ground.go_on()
        if is_over:
            break
    assert change > len(STEPS)
