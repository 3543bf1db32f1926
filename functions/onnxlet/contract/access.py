"""The access document: the API keys of a registry, as hashes, with what each may ask and until when.

A key is `onnxlet_<id>_<secret>`: a prefix by which scanners know it, an identifier that may be logged, and 256 random
bits. The document has its SHA-256 alone, which needs neither salt nor a slow hash: nobody can guess 256 bits.

Source: NIST SP 800-63B, section 5.1.2.2 (secrets of at least 112 random bits, and an approved one-way function).
"""

import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hmac import compare_digest
from typing import Any

from onnxlet.contract import layout
from onnxlet.contract.document import Document, to_json
from onnxlet.errors import ManifestError

SCHEMA = 1
PREFIX = "onnxlet_"
ID_BYTES = 6
SECRET_BYTES = 32

MAX_QUOTA = 10**12

_SECRET = re.compile(rf"{PREFIX}([0-9a-f]{{{2 * ID_BYTES}}})_[0-9a-f]{{{2 * SECRET_BYTES}}}", re.ASCII)
_ID = re.compile(rf"[0-9a-f]{{{2 * ID_BYTES}}}", re.ASCII)

_NOBODYS = "0" * 64
"""No key has this hash: what an unknown one is compared with, so that it takes as long as a known one."""


@dataclass(frozen=True, slots=True)
class Key:
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

    def with_key(self, key: Key) -> "Keys":
        """These keys and one more, or another state of one of them."""
        return Keys({**self._keys, key.id: key}.values())

    def to_json(self) -> bytes:
        """The bytes that the registry stores."""
        return to_json({"schema": SCHEMA, "keys": [_to_document(key) for key in self]})

    @classmethod
    def from_json(cls, data: bytes, path: str = layout.ACCESS_DOCUMENT) -> "Keys":
        """Read the bytes that the registry stores; `path` names them in errors.

        Raises:
            ManifestError: an unknown schema, or anything malformed.
        """
        document = Document.parse(data, path)
        document.require_schema(SCHEMA)
        keys = [_parse_key(item) for item in document.documents("keys")]
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
    """One key's part of the document; what does not bound it is not there."""
    document = {
        "id": key.id,
        "name": key.name,
        "sha256": key.sha256,
        "created_at": key.created_at.isoformat(),
        "expires_at": key.expires_at and key.expires_at.isoformat(),
        "revoked_at": key.revoked_at and key.revoked_at.isoformat(),
        "models": None if key.models is None else list(key.models),
        "quota": key.quota,
    }
    return {name: value for name, value in document.items() if value is not None}


def _parse_key(document: Document) -> Key:
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
