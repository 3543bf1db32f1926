"""The access document: the API keys of a registry, as hashes, with what each may ask and until when.

A key is `onnxlet_<id>_<secret>`: a prefix by which scanners know it, an identifier that may be logged, and 256 random
bits. The document has its SHA-256 alone, which needs neither salt nor a slow hash: nobody can guess 256 bits.

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

FIELDS = ("id", "name", "sha256", "created_at", "expires_at", "revoked_at", "models", "quota")
"""The fields of a key: all are written, those that do not bound it as null, and no other is read."""

FORGOTTEN_AFTER = timedelta(days=30)
"""How long a key that was revoked or has expired stays in the document; without it the key is refused as well."""

_SECRET = re.compile(rf"{PREFIX}([0-9a-f]{{{2 * ID_BYTES}}})_[0-9a-f]{{{2 * SECRET_BYTES}}}", re.ASCII)
_ID = re.compile(rf"[0-9a-f]{{{2 * ID_BYTES}}}", re.ASCII)

_NOBODYS = "0" * 64
"""No key has this hash: what an unknown one is compared with, so that it takes as long as a known one."""


class Key(Record):
    """What is known of an API key, and never the key itself."""

    id: str
    name: str
    """Whose it is."""
    sha256: str
    """Of the whole key."""
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    models: tuple[str, ...] | None = None
    """The models that it may name; None: all."""
    quota: int | None = None
    """Requests in a day of UTC; None: any number."""

    def may_use(self, model: str) -> bool:
        """Whether it may name a model."""
        return self.models is None or model in self.models

    def is_valid(self, at: datetime) -> bool:
        """Whether it is neither revoked nor expired at a time."""
        return self.revoked_at is None and (self.expires_at is None or at < self.expires_at)

    def ended_at(self) -> datetime | None:
        """Return since when the key is good for nothing, or will be; None where it has no end."""
        return min((end for end in (self.revoked_at, self.expires_at) if end is not None), default=None)


class Keys:
    """All keys of a registry, by identifier."""

    def __init__(self, keys: Iterable[Key] = ()) -> None:
        """Take the keys, in the order in which they came."""
        self._keys = {key.id: key for key in keys}

    def __iter__(self) -> Iterator[Key]:
        """The keys, in the order in which they came."""
        return iter(self._keys.values())

    def get(self, key_id: str) -> Key | None:
        """The key with this identifier, or None."""
        return self._keys.get(key_id)

    def find(self, text: str, at: datetime) -> Key | None:
        """The key that a caller shows, where it is valid at a time; None says nothing of why it is not."""
        match = _SECRET.fullmatch(text)
        if match is None:
            return None
        key = self._keys.get(match[1])
        is_same = compare_digest(digest(text), _NOBODYS if key is None else key.sha256)
        return key if is_same and key is not None and key.is_valid(at) else None

    def with_key(self, key: Key) -> Keys:
        """These keys and one more, or another state of one of them."""
        return Keys({**self._keys, key.id: key}.values())

    def without_forgotten(self, at: datetime) -> Keys:
        """Return these keys without those that had not been good for `FORGOTTEN_AFTER` at a time."""
        return Keys(key for key in self if (ended_at := key.ended_at()) is None or at - ended_at < FORGOTTEN_AFTER)

    def to_json(self) -> bytes:
        """Return the bytes that the registry stores.

        Raises:
            ManifestError: there are too many keys.
        """
        document = {"schema": SEALED, "keys": [_to_document(key) for key in self]}
        return to_sealed_json(document, MAX_STATE_BYTES, "let keys expire, or keep some in another registry")

    @classmethod
    def from_json(cls, data: bytes, path: str = layout.ACCESS_DOCUMENT, at_most: int = MAX_STATE_BYTES) -> Keys:
        """Read the bytes that the registry stores.

        Args:
            data: The bytes.
            path: What names them in errors.
            at_most: How many bytes are read.

        Raises:
            ManifestError: an unknown schema or field, other content than was written, or anything malformed.
        """
        document = Document.parse_sealed(data, path, at_most)
        document.require_fields(("schema", "keys"), all_of_them=True)
        is_sealed = document.content["schema"] != UNSEALED
        keys = [_parse_key(item, is_sealed=is_sealed) for item in document.documents("keys")]
        if len({key.id for key in keys}) < len(keys):
            raise ManifestError(f"{path}: two keys have the same id")
        return cls(keys)


def generate() -> tuple[str, str]:
    """A new key's identifier, and the key itself, which is nowhere else."""
    key_id = os.urandom(ID_BYTES).hex()
    return key_id, f"{PREFIX}{key_id}_{os.urandom(SECRET_BYTES).hex()}"


def is_key(text: str) -> bool:
    """Whether a text has the form of a key."""
    return _SECRET.fullmatch(text) is not None


def digest(text: str) -> str:
    """The SHA-256 of a key, as the document has it."""
    return hashlib.sha256(text.encode()).hexdigest()


def revoked(key: Key, at: datetime) -> Key:
    """A key from the time on at which it is good for nothing."""
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
    has_quota = document.content.get("quota") is not None
    return Key(
        id=key_id,
        name=document.text("name"),
        sha256=sha256,
        created_at=created_at,
        expires_at=_time(document, "expires_at"),
        revoked_at=_time(document, "revoked_at"),
        models=None if document.content.get("models") is None else document.texts("models"),
        quota=document.integer("quota", 1, MAX_QUOTA) if has_quota else None,
    )


def _time(document: Document, field: str) -> datetime | None:
    """A time with its zone, or None where the field is absent or null."""
    text = document.optional_text(field)
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
        if found.tzinfo is not None:
            return found.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise document.error(field, "a time of RFC 3339, with its zone")
