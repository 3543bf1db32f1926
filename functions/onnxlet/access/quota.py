"""The quotas: how many requests a key has left today, kept by all instances together in object storage alone.

A day's requests are cut into blocks. An instance takes one by creating its object, which succeeds once and nowhere
else, and spends it by itself. So no more requests are ever let in than there are; what an instance has not spent when
it ends is lost for the day: less than one block, the thousandth part of the quota.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from onnxlet import deadline
from onnxlet.contract.api_keys import Key
from onnxlet.contract.document import to_json
from onnxlet.errors import ConflictError, QuotaExceededError
from onnxlet.storage import Store

PREFIX = "quota"
"""Under the results: `quota/<key id>/<day>/<block>`."""

MAX_BLOCKS = 1000
"""Of a day: as many as one answer of a store lists."""


class Account:
    """The requests that this process may still admit for one key."""

    __slots__ = ("day", "is_exhausted", "left", "lock", "taken", "taking")

    def __init__(self) -> None:
        self.day = ""
        self.left = 0
        self.taken: set[int] = set()
        """The blocks of the day that this process knows to be taken, by any instance."""
        self.is_exhausted = False
        """Whether all blocks of the day are taken."""
        self.lock = threading.Lock()
        """Guards the attributes above. Nobody holds it while waiting for the store."""
        self.taking = threading.Lock()
        """Held while a block is taken."""

    def begin(self, day: str) -> None:
        """Begin a day unless it is the current one."""
        if self.day != day:
            self.day, self.left, self.taken, self.is_exhausted = day, 0, set(), False


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

    def spend(self, key: Key, requests: int = 1) -> None:
        """Take requests of a key's quota: all of them, or none where it has not so many left.

        Raises:
            QuotaExceededError: it has not so many left today.
            SettingsError: there is nowhere to count it.
            StoreError: the store does not answer.
            DeadlineError: it did not before the time was over.
        """
        if key.quota is None or requests == 0:
            return
        account = self._accounts.setdefault(key.id, Account())
        while not self._spend_left(account, key.quota, requests):
            with deadline.locked(account.taking):
                self._add_block(account, key.id, key.quota, requests)

    def _spend_left(self, account: Account, quota: int, requests: int) -> bool:
        """Take requests of what this process has; gives False where it must take another block first."""
        now = datetime.fromtimestamp(self._now(), UTC)
        with account.lock:
            account.begin(now.date().isoformat())
            if account.left >= requests:
                account.left -= requests
                return True
            if not account.is_exhausted and requests <= quota:
                return False
            if account.is_exhausted and account.left == 0:
                text = f"all {quota} requests of {account.day} (UTC) are taken"
            else:
                text = f"this request counts as {requests} more, and {account.left} are left of {account.day} (UTC)"
        raise QuotaExceededError(text, _until_tomorrow_s(now))

    def _add_block(self, account: Account, key_id: str, quota: int, requests: int) -> None:
        """Take one more block, unless another thread has done so meanwhile. The caller holds the lock for taking."""
        with account.lock:
            day, taken = account.day, account.taken
            if account.left >= requests or account.is_exhausted:
                return
        size = self._take_block(f"{PREFIX}/{key_id}/{day}", quota, taken)
        with account.lock:
            if account.day == day:
                account.left += size
                account.is_exhausted = size == 0

    def _take_block(self, prefix: str, quota: int, taken: set[int]) -> int:
        """Return how many requests one more block has; 0 where all are taken. `taken` is kept up to date."""
        store, blocks = self._open_results(), min(quota, MAX_BLOCKS)
        while free := [block for block in range(blocks) if block not in taken]:
            block = random.choice(free)  # noqa: S311 - in another order than others, who want one too
            try:
                # What is written is nobody else's: the store's own retry knows it again, and no other process does.
                store.put_if_absent(f"{prefix}/{block}", to_json({"by": os.urandom(8).hex()}))
            except ConflictError:
                taken |= {block, *(int(name) for name in store.children(prefix) if name.isdigit())}
            else:
                taken.add(block)
                return quota // blocks + (block < quota % blocks)
        return 0


def _until_tomorrow_s(now: datetime) -> int:
    """Whole seconds until the next day of UTC begins."""
    midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    return int((midnight - now).total_seconds()) + 1
