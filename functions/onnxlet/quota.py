"""The quotas: how many requests a key has left today, kept by all instances together in object storage alone.

A day's requests are cut into blocks. An instance takes one by creating its object, which succeeds once and nowhere
else, and spends it by itself. So no more requests are ever let in than there are; what an instance has not spent when
it ends is lost for the day: less than one block, the thousandth part of the quota.
"""

import os
import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from onnxlet.contract.access import Key
from onnxlet.contract.document import to_json
from onnxlet.errors import ConflictError, QuotaExceededError
from onnxlet.store import Store

PREFIX = "quota"
"""Under the results: `quota/<key id>/<day>/<block>`."""

MAX_BLOCKS = 1000
"""Of a day: as many as one answer of a store lists."""


@dataclass(slots=True)
class Account:
    """What this process has left of one key's quota."""

    day: str = ""
    left: int = 0
    is_exhausted: bool = False
    """Whether all blocks of the day are taken."""
    lock: threading.Lock = field(default_factory=threading.Lock)


class Quotas:
    """The quotas of all keys. Safe for threads."""

    def __init__(self, open_results: Callable[[], Store], now: Callable[[], float] = time.time) -> None:
        """Take where the blocks are, and the clock, in seconds of Unix time."""
        self._open_results = open_results
        self._now = now
        self._accounts: dict[str, Account] = {}

    def forget(self) -> None:
        """Spend nothing more of what was taken: this process may be one of many that go on from here."""
        self._accounts = {}

    def spend(self, key: Key) -> None:
        """Take one request of a key's quota.

        Raises:
            QuotaExceededError: none is left today.
            SettingsError: there is nowhere to count it.
            StoreError: the store does not answer.
        """
        if key.quota is None:
            return
        account = self._accounts.setdefault(key.id, Account())
        with account.lock:
            now = datetime.fromtimestamp(self._now(), UTC)
            day = now.date().isoformat()
            if account.day != day:
                account.day, account.left, account.is_exhausted = day, 0, False
            if account.left == 0 and not account.is_exhausted:
                account.left = self._take_block(key, key.quota, day)
                account.is_exhausted = account.left == 0
            if account.left == 0:
                raise QuotaExceededError(f"all {key.quota} requests of {day} (UTC) are taken", _until_tomorrow_s(now))
            account.left -= 1

    def _take_block(self, key: Key, quota: int, day: str) -> int:
        """How many requests one more block has; 0 where all are taken."""
        store, prefix = self._open_results(), f"{PREFIX}/{key.id}/{day}"
        blocks = min(quota, MAX_BLOCKS)
        taken = set(store.children(prefix))
        free = [block for block in range(blocks) if str(block) not in taken]
        for block in random.sample(free, len(free)):  # in another order than others, who want one too
            with suppress(ConflictError):
                # What is written is nobody else's: the store's own retry knows it again, and no other process does.
                store.put_if_absent(f"{prefix}/{block}", to_json({"by": os.urandom(8).hex()}))
                return quota // blocks + (block < quota % blocks)
        return 0


def _until_tomorrow_s(now: datetime) -> int:
    """Whole seconds until the next day of UTC begins."""
    midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    return int((midnight - now).total_seconds()) + 1
