"""The keys of results, which tell a result from every other object."""

import hashlib
import re

from onnxlet.events.messages import ObjectReference, Source

MAX_READABLE_BYTES = 800
"""The longest part of a result's key that comes from its object's key. The stores take keys of 1,024 bytes."""

MAX_PART_BYTES = 150
"""The longest part of it between two slashes. File systems take 255 bytes; the suffix needs up to 97 of them."""

_SUFFIX = re.compile(r"\.[a-z0-9][a-z0-9._-]{0,62}-[1-9][0-9]{0,8}\.[0-9a-f]{16}\.json\Z", re.ASCII)


def result_key(source: Source, etag: str | None, model: str, version: int) -> str:
    """Return the key of a result: always the same for one version of an object and one version of a model.

    Args:
        source: The object or the payload.
        etag: The object's entity tag.
        model: The name of the model that answers.
        version: The model's version.
    """
    object_version = source.version if isinstance(source, ObjectReference) else None
    identity = "\0".join([source.url, object_version or "", etag or "", model, str(version)])
    digest = hashlib.sha256(identity.encode()).hexdigest()[:16]
    return f"{readable(source.key)}.{model}-{version}.{digest}.json"


def is_result_key(key: str) -> bool:
    """Return whether a key ends as the key of a result does. Such an object is not an input, in whichever folder."""
    return _SUFFIX.search(key) is not None


def readable(key: str) -> str:
    """Return as much of an object's key as every store accepts inside another key. Different keys may become equal."""
    printable = "".join(character if character.isprintable() else "_" for character in key)
    parts = [_cut(part, MAX_PART_BYTES) for part in printable.split("/") if part not in {"", ".", ".."}]
    return _cut("/".join(parts), MAX_READABLE_BYTES)


def _cut(text: str, max_bytes: int) -> str:
    return text.encode()[:max_bytes].decode("utf-8", "ignore")
