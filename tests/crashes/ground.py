"""The ground: a new registry, a user who works on it, and the laws that are checked whenever a command was killed."""

import signal
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from onnxlet.registry.registry import Registry
from tests.crashes.commands import STEPS, Done, finish, start
from tests.crashes.laws import check_kept, check_whole

Kill = Callable[[], object]


class Ground:
    """One user's steps on one registry."""

    def __init__(self, folder: Path, environment: dict[str, str], registry: Registry) -> None:
        self.folder = folder
        self.environment = environment
        self.registry = registry
        self.done = Done()
        self.kills = 0

    def run(self, danger: Callable[[Kill], AbstractContextManager[object]]) -> bool:
        """Run what is left, in a danger that may kill it, and look at what is there; whether it came to its end."""
        process, told = start(self.folder, self.environment, self.done)
        with danger(process.kill):
            exit_code = finish(process, told, self.done)
        assert exit_code in {0, -signal.SIGKILL}
        self.kills += exit_code != 0
        check_whole(self.registry)
        check_kept(self.registry, self.done, self.kills)
        return exit_code == 0

    def check_end(self) -> None:
        """All steps are done, and the last of them is what is seen."""
        live = self.registry.alias("a")
        assert self.done.steps == len(STEPS)
        assert live.history[-1].action == "rollback"
        assert live.canary is None
