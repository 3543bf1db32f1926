"""Hashing by `hashlib`, which is imported when something is first hashed, not before the first request to the store.

`hashlib` loads OpenSSL: 2 ms of a cold start, in which the function can already wait for the store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hashlib import _Hash


def sha256(data: bytes | memoryview = b"") -> _Hash:
    """Return the SHA-256 of some bytes, to which more can be added."""
    import hashlib

    return hashlib.sha256(data)
