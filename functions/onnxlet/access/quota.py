"""Quotas: how many requests a key has left today, counted by all instances together in object storage.

The requests of a day are divided into blocks. An instance takes a block by creating its object, which only one instance
can, and then spends the block without asking the store. So the quota is never exceeded. What an instance has not spent
when it ends is lost for the day: less than one block, a thousandth of the quota.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from onnxlet.contract.api_keys import Key
from onnxlet.contract.document import to_json
from onnxlet.errors import ConflictError, QuotaExceededError
from onnxlet.limits import deadline
from onnxlet.storage import Store

PREFIX = "quota"
"""The folder of the results that holds the blocks, as `quota/<key id>/<day>/<block>`."""

MAX_BLOCKS = 1000
"""The number of blocks of a day: as many objects as a store lists in one response."""


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
        """Prepare to count.

        Args:
            open_results: Opens the place where the blocks are.
            now: The clock, in seconds of Unix time.
        """
        self._open_results = open_results
        self._now = now
        self._accounts: dict[str, Account] = {}

    def forget(self) -> None:
        """Forget the blocks that were taken: this process may be one of several that a snapshot was restored to."""
        self._accounts = {}

    def spend(self, key: Key, requests: int = 1) -> None:
        """Take requests of a key's quota: all of them, or none if fewer are left.

        Raises:
            QuotaExceededError: the key has fewer requests left today.
            SettingsError: no place is configured where quotas could be counted.
            StoreError: the store does not answer.
            DeadlineError: the store did not answer in time.
        """
        if key.quota is None or requests == 0:
            return
        account = self._accounts.setdefault(key.id, Account())
        while not self._spend_left(account, key.quota, requests):
            with deadline.locked(account.taking):
                self._add_block(account, key.id, key.quota, requests)

    def _spend_left(self, account: Account, quota: int, requests: int) -> bool:
        """Take requests of the blocks that this process has; return False if it must take another block first."""
        now = datetime.fromtimestamp(self._now(), UTC)
        with account.lock:
            account.begin(now.date().isoformat())
            if account.left >= requests:
                account.left -= requests
                return True
            if not account.is_exhausted and requests <= quota:
                return False
            if account.is_exhausted and account.left == 0:
                text = f"all {quota} requests of {account.day} (UTC) are used"
            else:
                text = (
                    f"this request counts as {requests} more, but only {account.left} are left of {account.day} (UTC)"
                )
        raise QuotaExceededError(text, _until_tomorrow_s(now))

    def _add_block(self, account: Account, key_id: str, quota: int, requests: int) -> None:
        """Take one more block unless another thread has taken one meanwhile. The caller holds the lock for taking."""
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
        """Take one more block, update `taken`, and return the block's number of requests; 0 if all blocks are taken."""
        store, blocks = self._open_results(), min(quota, MAX_BLOCKS)
        while free := [block for block in range(blocks) if block not in taken]:
            block = random.choice(free)  # noqa: S311 - so that instances rarely want the same block
            try:
                # The random text is this attempt's own: a retry after a lost reply recognizes the object as its own.
                store.put_if_absent(f"{prefix}/{block}", to_json({"by": os.urandom(8).hex()}))
            except ConflictError:
                taken |= {block, *(int(name) for name in store.children(prefix) if name.isdigit())}
            else:
                taken.add(block)
                return quota // blocks + (block < quota % blocks)
        return 0


def _until_tomorrow_s(now: datetime) -> int:
    """Return the whole seconds until the next day of UTC begins."""
    midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    return int((midnight - now).total_seconds()) + 1
