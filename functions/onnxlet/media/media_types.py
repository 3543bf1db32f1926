"""What a payload is: the one decision for bodies, parts of forms, base64 in JSON, referenced objects and messages."""

from onnxlet.media import images, npy

JSON = "application/json"
NPY = "application/x-npy"
TEXT = "text/plain"
MULTIPART = "multipart/form-data"

MEDIA_TYPES = (*images.FORMATS, NPY, TEXT, JSON, MULTIPART)

ALIASES = {
    "image/jpg": "image/jpeg",
    "image/pjpeg": "image/jpeg",
    "image/x-png": "image/png",
    "text/json": JSON,
    "application/x-json": JSON,
}
"""The names that browsers, stores and libraries have for the same."""

SILENT = frozenset({"", "application/octet-stream", "binary/octet-stream", "application/x-www-form-urlencoded", "*/*"})
"""Media types that say nothing: what curl, browsers and S3 take unless they are given one."""

MEDIA_TYPE_BY_SUFFIX = {
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "jpe": "image/jpeg",
    "jfif": "image/jpeg",
    "png": "image/png",
    "webp": "image/webp",
    "npy": NPY,
    "txt": TEXT,
    "json": JSON,
}
"""Media types of stored objects, by the suffix of their key."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"

_BLANKS = b" \t\r\n"

_BEGINNING_BYTES = 64
"""What is looked at for the first sign of JSON."""


def kind_of(body: bytes, media_type: str = "", key: str = "") -> str:
    """Return the media type of a payload: its first bytes say it, else the declared type, else its key, else a guess.

    Args:
        body: The payload.
        media_type: The declared type, with its parameters; empty where there is none.
        key: The key of a stored object.

    Returns:
        One of `MEDIA_TYPES`, or another word for what it is, for an error; empty where nothing is known.
    """
    declared = canonical(media_type)
    found = sniff(body)
    if found is not None:
        return found
    if declared in MEDIA_TYPES and not (declared in images.FORMATS and _other_image(body)):
        return declared
    by_key = media_type_of(key)
    if by_key in MEDIA_TYPES and by_key not in images.FORMATS:
        return by_key
    if declared in SILENT and begins_as_json(body):
        return JSON
    return _other_image(body) or (by_key if declared in SILENT else declared)


def canonical(media_type: str) -> str:
    """Return a media type in lower case, under one name and without its parameters; of several the first."""
    kind = media_type.partition(";")[0].partition(",")[0].strip().strip('"').lower()
    return JSON if kind.endswith("+json") else ALIASES.get(kind, kind)


def charset_of(media_type: str) -> str:
    """Return the character set that a media type declares, in lower case; empty if it declares none."""
    for parameter in media_type.split(";")[1:]:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            return value.strip().strip('"').lower()
    return ""


def sniff(body: bytes) -> str | None:
    """Return the media type that the first bytes of an image or an array stand for; None for anything else."""
    return NPY if body.startswith(npy.MAGIC) else images.sniff(body)


def begins_as_json(body: bytes) -> bool:
    """Tell whether a body begins as a JSON object or list."""
    return body[:_BEGINNING_BYTES].removeprefix(_BYTE_ORDER_MARK).lstrip(_BLANKS)[:1] in {b"{", b"["}


def media_type_of(key: str) -> str:
    """Return the media type that the suffix of a key stands for; the suffix itself if it is not a known one."""
    suffix = key.rpartition("/")[2].rpartition(".")[2].lower()
    return MEDIA_TYPE_BY_SUFFIX.get(suffix, suffix)


def _other_image(body: bytes) -> str | None:
    """Return the media type of an image that is not taken, so that an error can name it."""
    if body.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if body.startswith((b"II*\0", b"MM\0*")):
        return "image/tiff"
    if body.startswith(b"BM") and body[6:10] == bytes(4):
        return "image/bmp"
    if body[:1] != b"\0" or body[4:8] != b"ftyp":
        return None
    return {b"avif": "image/avif", b"avis": "image/avif"}.get(body[8:12], "image/heic")
