"""API keys: a function that requires them checks the key of a request before it reads anything else of the request.

The check fails closed: no request is admitted unless the list of keys was read within the last hour. Its errors never
say why a key is refused, and nothing about the registry, because anybody can see them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from onnxlet import notices
from onnxlet.access.quota import Quotas
from onnxlet.contract import layout
from onnxlet.contract.api_keys import PREFIX, Key, Keys, is_key
from onnxlet.errors import ObjectNotFoundError, OnnxletError, StoreError, UnauthenticatedError
from onnxlet.limits import deadline
from onnxlet.storage import Revision, Store

MAX_REFRESH_S = 60.0
"""The longest time that a revoked key may still be accepted, even if aliases are refreshed less often."""

MAX_STALE_S = 3600.0
"""The longest time that the last known keys are used while the store does not answer."""

RETRY_S = 1.0
"""The wait after a failed read, so that not every request with an unknown key makes and awaits another one."""


class ApiKeys:
    """The API keys of a registry, which admit requests. Safe for threads."""

    def __init__(self, open_registry: Callable[[], Store], open_results: Callable[[], Store], refresh_s: float) -> None:
        """Prepare to read the keys when the first request comes.

        Args:
            open_registry: Opens the registry, which has the list of keys.
            open_results: Opens the place where quotas are counted.
            refresh_s: The age in seconds at which the list is read again.
        """
        self._open_registry = open_registry
        self._quotas = Quotas(open_results)
        self._refresh_s = min(refresh_s, MAX_REFRESH_S)
        self._reading = threading.Lock()
        self.forget()

    def forget(self) -> None:
        """Forget the keys and what is left of quotas: the process was frozen for a time that no clock of it counted."""
        with self._reading:
            self._keys: Keys | None = None
            self._revision: Revision | None = None
            self._read_at_s = -MAX_STALE_S
            self._read_again_at_s = 0.0
            self._quotas.forget()

    def admit(self, headers: Mapping[str, str]) -> Key:
        """Return the key of a request's headers, and take one request of the key's quota.

        Raises:
            UnauthenticatedError: the request has no key, or the key is not valid.
            QuotaExceededError: the key has no request left today.
            StoreError: the keys cannot be read, or the quota cannot be counted.
            SettingsError: the key has a quota, but no place is configured where it could be counted.
        """
        text = _parse_key(headers)
        key = None if text is None else self._current().find(text, datetime.now(UTC))
        if key is None:
            raise UnauthenticatedError(
                f"expected a valid API key, as `authorization: Bearer {PREFIX}...` or `x-api-key: {PREFIX}...`"
            )
        self._quotas.spend(key)
        return key

    def charge(self, key: Key, requests: int) -> None:
        """Take further requests of a key's quota, for a request that costs more than the one that `admit` has taken.

        Raises:
            QuotaExceededError: the key has fewer requests left today; none of them is taken.
            StoreError: the quota cannot be counted.
        """
        self._quotas.spend(key, requests)

    def _current(self) -> Keys:
        """Return the keys as they are now, or were when they were last read.

        Raises:
            StoreError: the keys were last read too long ago, or never.
        """
        if time.monotonic() >= self._read_again_at_s:
            if self._keys is None:
                with deadline.locked(self._reading):
                    if time.monotonic() >= self._read_again_at_s:
                        self._refresh()
            elif self._reading.acquire(blocking=False):  # other threads use the known keys meanwhile
                try:
                    with deadline.within(deadline.remaining_s() / 2):  # a stalled store leaves time for the answer
                        self._refresh()
                finally:
                    self._reading.release()
        keys = self._keys
        if keys is None or time.monotonic() - self._read_at_s >= MAX_STALE_S:
            raise StoreError("API keys cannot be read right now; see the function's log")
        return keys

    def _refresh(self) -> None:
        """Read the keys if they have changed. A missing document revokes all keys. The caller holds the lock."""
        wait_s = self._refresh_s
        try:
            self._read()
            self._read_at_s = time.monotonic()
        except OnnxletError as error:
            notices.error("the API keys were not read: %s", error)
            wait_s = RETRY_S if self._keys is None else max(RETRY_S, wait_s)
        self._read_again_at_s = time.monotonic() + wait_s

    def _read(self) -> None:
        store = self._open_registry()
        try:
            if self._revision is None:
                stored = store.read(layout.API_KEYS_DOCUMENT)
            else:
                changed = store.read_if_changed(layout.API_KEYS_DOCUMENT, self._revision)
                if changed is None:
                    return
                stored = changed
        except ObjectNotFoundError:
            notices.warning("%s/%s: no such object, so no request is admitted", store.url, layout.API_KEYS_DOCUMENT)
            self._keys, self._revision = Keys(), None
        else:
            self._keys, self._revision = Keys.from_json(stored.data), stored.revision


def _parse_key(headers: Mapping[str, str]) -> str | None:
    """Return the API key in a request's headers; one header may hold another token, which the cloud checks."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    bearer = token.strip() if scheme.lower() == "bearer" else ""
    return next(filter(is_key, (headers.get("x-api-key", "").strip(), bearer)), None)
