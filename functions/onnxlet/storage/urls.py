"""The places: root URLs of object storage, each in the one form in which two of them can be compared.

`s3://b/./in`, `s3://b//in` and `s3://b/%69n` are other keys to a store than to the library that reads it, or to a
person who compares two settings. Whatever could be read in two ways is refused, so that the text of two places says
whether one lies inside the other.
"""

import os
import re
from posixpath import normpath
from urllib.parse import quote, unquote_to_bytes

from onnxlet.errors import InvalidNameError

SCHEMES = ("s3://", "gs://", "file://", "memory://")

_BUCKET = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,220}[a-z0-9])?", re.ASCII)

_AMBIGUOUS = frozenset("%?#\\")
"""Characters that a URL gives another meaning than a key does."""


def parse(text: str) -> str:
    """Return the canonical URL of a place: `s3://bucket/prefix`, `gs://bucket/prefix`, `file:///folder`, `memory://name`.

    The absolute path of a folder is read as its `file://` URL. A slash at the end is dropped.

    Raises:
        InvalidNameError: not a place, or spelled in a way that could name another one.
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
            f"{text!r:.200}: expected a prefix that is not URL-encoded, without empty parts, '.' and '..' and "
            "without %, ?, #, backslashes and control characters"
        )
    return url


def split(url: str) -> tuple[str, str, str]:
    """Return the scheme, the bucket and the key prefix of a cloud's URL; the prefix is empty for a whole bucket."""
    scheme, _, rest = url.partition("://")
    bucket, _, prefix = rest.partition("/")
    return scheme, bucket, prefix


def is_inside(url: str, outer: str) -> bool:
    """Whether one canonical URL is another one, or lies inside it."""
    return url == outer or url.startswith(f"{outer}/")


def file_path(url: str) -> str:
    """Return the path of a canonical `file://` URL."""
    return os.fsdecode(unquote_to_bytes(url.removeprefix("file://")))


def _parse_file(text: str) -> str:
    if text.startswith("/"):
        return _file_url(text)
    host, slash, path = text.removeprefix("file://").partition("/")
    if host not in {"", "localhost"} or "?" in path or "#" in path:
        raise InvalidNameError(f"{text!r:.200}: expected file:// and the absolute path of a folder")
    return _file_url(slash + os.fsdecode(unquote_to_bytes(path)))


def _is_plain(part: str) -> bool:
    return part not in {"", ".", ".."} and part.isprintable() and not _AMBIGUOUS & set(part)


def _file_url(path: str) -> str:
    if not path.startswith("/") or "\0" in path:
        raise InvalidNameError(f"{path!r:.200}: expected the absolute path of a folder")
    return f"file://{quote(os.fsencode('/' + normpath(path).lstrip('/')))}"
