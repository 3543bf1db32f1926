"""API keys: the registry's document with the hash of each key, its models, its quota and its expiry.

A key is `onnxlet_<id>_<secret>`: a prefix for secret scanners, an identifier that may be logged, and 256 random bits.
The document holds only the SHA-256, which needs neither a salt nor a slow hash, because nobody can guess 256 bits.

Source: NIST SP 800-63B, section 5.1.2.2 (secrets of at least 112 random bits, and an approved one-way function).
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from hmac import compare_digest
from typing import Any

from onnxlet.contract import layout
from onnxlet.contract.document import MAX_STATE_BYTES, SEALED, UNSEALED, Document, to_sealed_json
from onnxlet.errors import ManifestError
from onnxlet.record import Record, replace

PREFIX = "onnxlet_"
ID_BYTES = 6
SECRET_BYTES = 32

MAX_QUOTA = 10**12
"""Requests in a day that a quota may allow."""

FIELDS = ("id", "name", "sha256", "created_at", "expires_at", "revoked_at", "models", "quota")
"""The fields of a key: all are written, with null for no limit, and any other field is refused."""

FORGOTTEN_AFTER = timedelta(days=30)
"""Time for which a revoked or expired key stays in the document; it is refused with or without its entry."""

_SECRET = re.compile(rf"{PREFIX}([0-9a-f]{{{2 * ID_BYTES}}})_[0-9a-f]{{{2 * SECRET_BYTES}}}", re.ASCII)
_ID = re.compile(rf"[0-9a-f]{{{2 * ID_BYTES}}}", re.ASCII)

_NO_KEY_HASH = "0" * 64
"""A hash that no key has: unknown keys are compared with it, so that they take as long as known ones."""


class Key(Record):
    """The stored facts about an API key, without the key."""

    id: str
    name: str
    """The owner's name."""
    sha256: str
    """The SHA-256 of the whole key."""
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    models: tuple[str, ...] | None = None
    """The models that the key may use; None for all."""
    quota: int | None = None
    """Requests in a day of UTC; None for any number."""

    def may_use(self, model: str) -> bool:
        """Return whether the key may use a model."""
        return self.models is None or model in self.models

    def is_valid(self, at: datetime) -> bool:
        """Return whether the key is neither revoked nor expired at a time."""
        return self.revoked_at is None and (self.expires_at is None or at < self.expires_at)

    def ended_at(self) -> datetime | None:
        """Return when the key was revoked or expires, whichever is first; None if neither applies."""
        return min((end for end in (self.revoked_at, self.expires_at) if end is not None), default=None)


class Keys:
    """All keys of a registry, by identifier."""

    def __init__(self, keys: Iterable[Key] = ()) -> None:
        self._keys = {key.id: key for key in keys}

    def __iter__(self) -> Iterator[Key]:
        """Return an iterator over the keys in their stored order."""
        return iter(self._keys.values())

    def get(self, key_id: str) -> Key | None:
        """Return the key with this identifier, or None."""
        return self._keys.get(key_id)

    def find(self, text: str, at: datetime) -> Key | None:
        """Return the valid key that a client presents, or None, which does not say why the key is refused."""
        match = _SECRET.fullmatch(text)
        if match is None:
            return None
        key = self._keys.get(match[1])
        is_same = compare_digest(digest(text), _NO_KEY_HASH if key is None else key.sha256)
        return key if is_same and key is not None and key.is_valid(at) else None

    def with_key(self, key: Key) -> Keys:
        """Return these keys with one added or replaced."""
        return Keys({**self._keys, key.id: key}.values())

    def without_forgotten(self, at: datetime) -> Keys:
        """Return these keys without those that ended at least `FORGOTTEN_AFTER` before a time."""
        return Keys(key for key in self if (ended_at := key.ended_at()) is None or at - ended_at < FORGOTTEN_AFTER)

    def to_json(self) -> bytes:
        """Return the bytes that the registry stores.

        Raises:
            ManifestError: there are too many keys.
        """
        document = {"schema": SEALED, "keys": [_to_document(key) for key in self]}
        return to_sealed_json(document, MAX_STATE_BYTES, "let keys expire, or keep some in another registry")

    @classmethod
    def from_json(cls, data: bytes, path: str = layout.API_KEYS_DOCUMENT, at_most: int = MAX_STATE_BYTES) -> Keys:
        """Read the bytes that the registry stores.

        Args:
            data: The bytes.
            path: The name of the document in errors.
            at_most: The largest size in bytes that is accepted.

        Raises:
            ManifestError: the schema or a field is unknown, a field is malformed, or the digest does not match.
        """
        document = Document.parse_sealed(data, path, at_most)
        document.require_fields(("schema", "keys"), all_of_them=True)
        is_sealed = document.content["schema"] != UNSEALED
        keys = [_parse_key(item, is_sealed=is_sealed) for item in document.documents("keys")]
        if len({key.id for key in keys}) < len(keys):
            raise ManifestError(f"{path}: two keys have the same id")
        return cls(keys)


def generate() -> tuple[str, str]:
    """Return the identifier of a new key, and the key, which is not stored anywhere."""
    key_id = os.urandom(ID_BYTES).hex()
    return key_id, f"{PREFIX}{key_id}_{os.urandom(SECRET_BYTES).hex()}"


def is_key(text: str) -> bool:
    """Return whether a text has the form of a key."""
    return _SECRET.fullmatch(text) is not None


def digest(text: str) -> str:
    """Return the SHA-256 of a key, as the document holds it."""
    return hashlib.sha256(text.encode()).hexdigest()


def revoked(key: Key, at: datetime) -> Key:
    """Return a key that is revoked from a time on; a key that was revoked before stays as it is."""
    return key if key.revoked_at is not None else replace(key, revoked_at=at)


def _to_document(key: Key) -> dict[str, Any]:
    """Return one key's part of the document."""
    return {
        "id": key.id,
        "name": key.name,
        "sha256": key.sha256,
        "created_at": key.created_at.isoformat(),
        "expires_at": key.expires_at and key.expires_at.isoformat(),
        "revoked_at": key.revoked_at and key.revoked_at.isoformat(),
        "models": None if key.models is None else list(key.models),
        "quota": key.quota,
    }


def _parse_key(document: Document, *, is_sealed: bool) -> Key:
    document.require_fields(FIELDS, all_of_them=is_sealed)
    sha256 = document.text("sha256")
    if not layout.is_sha256(sha256):
        raise document.error("sha256", "a SHA-256: 64 of 0-9, a-f")
    key_id = document.text("id")
    if not _ID.fullmatch(key_id):
        raise document.error("id", f"{2 * ID_BYTES} of 0-9, a-f")
    created_at = _time(document, "created_at")
    if created_at is None:
        raise document.error("created_at", "a time")
    return Key(
        id=key_id,
        name=document.text("name"),
        sha256=sha256,
        created_at=created_at,
        expires_at=_time(document, "expires_at"),
        revoked_at=_time(document, "revoked_at"),
        models=document.texts("models") if document.has("models") else None,
        quota=document.integer("quota", 1, MAX_QUOTA) if document.has("quota") else None,
    )


def _time(document: Document, field: str) -> datetime | None:
    """Return a time in UTC, or None if the field is absent or null."""
    text = document.optional_text(field)
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text)
        if time.tzinfo is not None:
            return time.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise document.error(field, "a time of RFC 3339, with its zone")
