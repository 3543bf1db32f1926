"""URLs: root URLs of object storage in one canonical form, so that two of them can be compared.

A store, its library and a person may read `s3://b/./in`, `s3://b//in` or `s3://b/%69n` as different keys. A URL with
two readings is refused, so that comparing two texts shows whether one URL lies inside the other.
"""

import os
import re
from posixpath import normpath

from onnxlet.errors import InvalidNameError

SCHEMES = ("s3://", "gs://", "file://", "memory://")

_BUCKET = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,220}[a-z0-9])?", re.ASCII)

_AMBIGUOUS = frozenset("%?#\\")
"""Characters with a special meaning in a URL but not in a key."""


def parse(text: str) -> str:
    """Return the canonical root URL: `s3://bucket/prefix`, `gs://bucket/prefix`, `file:///folder` or `memory://name`.

    An absolute path becomes a `file://` URL. A slash at the end is dropped.

    Raises:
        InvalidNameError: the text does not have one of these forms, or has two readings.
    """
    if text.startswith(("/", "file://")):
        return _parse_file(text)
    if text.startswith("memory://"):
        return text.rstrip("/")
    if not text.startswith(SCHEMES):
        raise InvalidNameError(f"{text!r:.200}: expected a URL that begins with one of {', '.join(SCHEMES)}")
    url = text.removesuffix("/")
    bucket, *parts = url.partition("://")[2].split("/")
    if not _BUCKET.fullmatch(bucket):
        raise InvalidNameError(f"{text!r:.200}: expected a bucket of a-z, 0-9, '.', '_' and '-', got {bucket!r:.80}")
    if not all(map(_is_plain, parts)):
        raise InvalidNameError(
            f"{text!r:.200}: expected a prefix that is not URL-encoded, without empty parts, '.', '..', %, ?, #, "
            "backslashes and control characters"
        )
    return url


def split(url: str) -> tuple[str, str, str]:
    """Return the scheme, the bucket and the key prefix of an `s3://` or `gs://` URL; the prefix may be empty."""
    scheme, _, rest = url.partition("://")
    bucket, _, prefix = rest.partition("/")
    return scheme, bucket, prefix


def is_inside(url: str, outer: str) -> bool:
    """Return whether a canonical URL equals `outer` or lies inside it."""
    return url == outer or url.startswith(f"{outer}/")


def file_path(url: str) -> str:
    """Return the path of a canonical `file://` URL."""
    return _decoded(url.removeprefix("file://"))


def _parse_file(text: str) -> str:
    if text.startswith("/"):
        return _file_url(text)
    host, slash, path = text.removeprefix("file://").partition("/")
    if host not in {"", "localhost"} or "?" in path or "#" in path:
        raise InvalidNameError(f"{text!r:.200}: expected file:// and the absolute path of a folder")
    return _file_url(slash + _decoded(path))


def _decoded(path: str) -> str:
    from urllib.parse import unquote_to_bytes  # 3 ms of a cold start, which buckets do not need

    return os.fsdecode(unquote_to_bytes(path))


def _is_plain(part: str) -> bool:
    return part not in {"", ".", ".."} and part.isprintable() and not _AMBIGUOUS & set(part)


def _file_url(path: str) -> str:
    if not path.startswith("/") or "\0" in path:
        raise InvalidNameError(f"{path!r:.200}: expected the absolute path of a folder")
    from urllib.parse import quote

    return f"file://{quote(os.fsencode('/' + normpath(path).lstrip('/')))}"
