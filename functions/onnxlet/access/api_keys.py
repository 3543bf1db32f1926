"""The gate: where a function asks for API keys, who may ask it, before anything of the request is looked at.

It fails closed: without a list of keys that was read within the last hour nobody is let in. Nothing that it says tells
apart why a key is not good, nor anything of the registry, for it speaks to anybody.
"""

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

from onnxlet import deadline
from onnxlet.access.quota import Quotas
from onnxlet.contract import layout
from onnxlet.contract.api_keys import PREFIX, Key, Keys, is_key
from onnxlet.errors import ObjectNotFoundError, OnnxletError, StoreError, UnauthenticatedError
from onnxlet.http import Request
from onnxlet.storage import Revision, Store

logger = logging.getLogger("onnxlet")

MAX_REFRESH_S = 60.0
"""However stale an alias may get: a key that was revoked is good for no longer."""

MAX_STALE_S = 3600.0
"""How long the keys that were read last are good for, while the store does not answer."""

RETRY_S = 1.0
"""After the store did not answer: not each stranger's request shall be one to it, nor wait for it."""


class ApiKeys:
    """Lets requests in by their API keys. Safe for threads."""

    def __init__(self, open_registry: Callable[[], Store], open_results: Callable[[], Store], refresh_s: float) -> None:
        """Take where the keys are, where their quotas are counted, and how stale the keys may get; nothing is read."""
        self._open_registry = open_registry
        self._quotas = Quotas(open_results)
        self._refresh_s = min(refresh_s, MAX_REFRESH_S)
        self._reading = threading.Lock()
        self.forget()

    def forget(self) -> None:
        """Begin anew: time has passed that no clock of this process counted."""
        with self._reading:
            self._keys: Keys | None = None
            self._revision: Revision | None = None
            self._read_at_s = -MAX_STALE_S
            self._ask_at_s = 0.0
            self._quotas.forget()

    def admit(self, request: Request) -> Key:
        """The key that a request comes with, of whose quota it takes one.

        Raises:
            UnauthenticatedError: none, or none that is good.
            QuotaExceededError: it has no request left today.
            StoreError: the keys cannot be read, or its quota cannot be counted.
            SettingsError: it has a quota, and there is nowhere to count it.
        """
        shown = _shown(request)
        key = None if shown is None else self._current().find(shown, datetime.now(UTC))
        if key is None:
            raise UnauthenticatedError(
                f"expected an API key that is good, as `authorization: Bearer {PREFIX}...` or `x-api-key: {PREFIX}...`"
            )
        self._quotas.spend(key)
        return key

    def charge(self, key: Key, requests: int) -> None:
        """Take what a request costs beyond the one that `admit` has taken of its key's quota.

        Raises:
            QuotaExceededError: the key has not so many left today, and keeps them.
            StoreError: its quota cannot be counted.
        """
        self._quotas.spend(key, requests)

    def _current(self) -> Keys:
        """The keys as they are now, or were when the store answered last.

        Raises:
            StoreError: that was too long ago.
        """
        if time.monotonic() >= self._ask_at_s:
            if self._keys is None:
                with deadline.locked(self._reading):
                    if time.monotonic() >= self._ask_at_s:
                        self._refresh()
            elif self._reading.acquire(blocking=False):  # whoever comes meanwhile is let in by the keys that are known
                try:
                    with deadline.within(deadline.remaining_s() / 2):  # a store that stalls leaves time for the answer
                        self._refresh()
                finally:
                    self._reading.release()
        keys = self._keys
        if keys is None or time.monotonic() - self._read_at_s >= MAX_STALE_S:
            raise StoreError("it cannot be told now who may ask; the function's log says why")
        return keys

    def _refresh(self) -> None:
        """Read the keys where they have changed. A document that is gone has none; the caller holds the lock."""
        wait_s = self._refresh_s
        try:
            self._read()
            self._read_at_s = time.monotonic()
        except OnnxletError as error:
            logger.error("the API keys were not read: %s", error)  # noqa: TRY400 - the line says it all
            wait_s = RETRY_S if self._keys is None else max(RETRY_S, wait_s)
        self._ask_at_s = time.monotonic() + wait_s

    def _read(self) -> None:
        store = self._open_registry()
        try:
            if self._revision is None:
                stored = store.read(layout.ACCESS_DOCUMENT)
            else:
                changed = store.read_if_changed(layout.ACCESS_DOCUMENT, self._revision)
                if changed is None:
                    return
                stored = changed
        except ObjectNotFoundError:
            logger.warning("%s/%s: there is none, so that nobody is let in", store.url, layout.ACCESS_DOCUMENT)
            self._keys, self._revision = Keys(), None
        else:
            self._keys, self._revision = Keys.from_json(stored.data), stored.revision


def _shown(request: Request) -> str | None:
    """The key in a request's headers: of two the one that has our form, for a cloud's own check may take the other."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    bearer = token.strip() if scheme.lower() == "bearer" else ""
    shown = (request.headers.get("x-api-key", "").strip(), bearer)
    return next(filter(is_key, shown), None)
