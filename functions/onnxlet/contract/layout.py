"""Layout: the keys of a registry's objects, and the names that models, aliases and versions may have."""

import re

from onnxlet.errors import InvalidNameError

LIVE = "live"
"""The alias for requests that name neither a version nor an alias."""

MODELS_PREFIX = "models"

FOLDERS = (MODELS_PREFIX, "blobs", "access", "edge")
"""First parts of all keys in a registry."""

API_KEYS_DOCUMENT = "access/keys.json"
"""The key of the document of the API keys."""

EDGE_RUNTIME = "onnxruntime-web-1.30.0"
"""The name and version of the npm package that holds ONNX Runtime's build for browsers."""
EDGE_FILES = {
    "ort.wasm.min.mjs": "219e6a1fc8a9938268d18efca3c91d310bd2f4a59bbd13744df5b2b7fc6cee3b",
    "ort-wasm-simd-threaded.mjs": "e13f7f94fc51b4ca72b12faeb1ee95f4ace6dfbc8939bc718aabdc0a27c4299b",
    "ort-wasm-simd-threaded.wasm": "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
}
"""The package's files for browsers, each with its SHA-256; the registry keeps them as gzip.

They run in visitors' browsers with the page's rights, and no signature covers them: no other file is served.
"""
MAX_EDGE_BYTES = 32 * 1024 * 1024
"""Size of a file of the runtime, as gzip or not: the largest has 14 MB, and a forged one could be a bomb."""

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}", re.ASCII)
_VERSION = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_VERSION_KEY = re.compile(r"versions/([1-9][0-9]{0,8})\.json", re.ASCII)


PROBE = b"Does this store keep the conditions of writes?\n"
"""Bytes of a blob that nobody reads; a publisher writes it to find out whether the store keeps conditions."""


def is_name(text: str) -> bool:
    """Return whether a model may have this name."""
    return _NAME.fullmatch(text) is not None


def parse_name(text: str, what: str = "model") -> str:
    """Return `text` if a model may have this name.

    Raises:
        InvalidNameError: it may not.
    """
    if not is_name(text):
        raise InvalidNameError(
            f"{what} name {text[:80]!r}: expected 1 to 63 of a-z, 0-9, '.', '_', '-', beginning with a letter or digit"
        )
    return text


def parse_alias(text: str) -> str:
    """Return `text` if an alias may have this name, which must not read as a version.

    Raises:
        InvalidNameError: it may not.
    """
    if text.isdigit():
        raise InvalidNameError(f"alias {text[:80]!r}: expected a name that is not a number")
    return parse_name(text, "alias")


def parse_version(text: str) -> int:
    """Return the version that `text` names: 1, 2, 3 ...

    Raises:
        InvalidNameError: the text is not a version.
    """
    if not _VERSION.fullmatch(text):
        raise InvalidNameError(f"version {text[:80]!r}: expected a number from 1 to 999999999")
    return int(text)


def is_sha256(text: str) -> bool:
    """Return whether `text` is a SHA-256: 64 lower-case hexadecimal digits."""
    return _SHA256.fullmatch(text) is not None


def blob_key(sha256: str) -> str:
    """Return the key of the blob with this SHA-256."""
    return f"blobs/sha256/{sha256}"


PROBE_KEY = blob_key("83224ef15c32c29d24cee3e2151f6324c8195dd025db6a0b2a8aeb2e159bf031")


def model_prefix(name: str) -> str:
    """Return the prefix of all keys of one model."""
    return f"{MODELS_PREFIX}/{name}"


def version_key(name: str, version: int) -> str:
    """Return the key of a version's manifest."""
    return f"{model_prefix(name)}/versions/{version}.json"


def alias_key(name: str, alias: str) -> str:
    """Return the key of an alias."""
    return f"{model_prefix(name)}/aliases/{alias}.json"


def edge_key(file: str) -> str:
    """Return the key of a file of `EDGE_RUNTIME`, as gzip."""
    return f"edge/{EDGE_RUNTIME}/{file}.gz"


def version_of_key(name: str, key: str) -> int | None:
    """Return the version whose manifest has this key, or None for any other key."""
    match = _VERSION_KEY.fullmatch(key.removeprefix(f"{model_prefix(name)}/"))
    return int(match[1]) if match else None
