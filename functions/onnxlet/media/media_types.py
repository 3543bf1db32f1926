"""Media types: one decision for bodies, parts of forms, base64 in JSON, objects in storage and messages."""

from onnxlet.media import image_headers, npy

JSON = "application/json"
NPY = "application/x-npy"
TEXT = "text/plain"
CSV = "text/csv"
TSV = "text/tab-separated-values"
JSON_LINES = "application/jsonl"
WAV = "audio/wav"
MULTIPART = "multipart/form-data"

TABLES = (CSV, TSV, JSON_LINES)

MEDIA_TYPES = (*image_headers.FORMATS, WAV, NPY, TEXT, *TABLES, JSON, MULTIPART)

ALIASES = {
    "image/jpg": "image/jpeg",
    "image/pjpeg": "image/jpeg",
    "image/x-png": "image/png",
    "image/x-bmp": "image/bmp",
    "image/x-ms-bmp": "image/bmp",
    "image/tif": "image/tiff",
    "text/json": JSON,
    "application/x-json": JSON,
    "application/x-ndjson": JSON_LINES,
    "application/ndjson": JSON_LINES,
    "application/jsonlines": JSON_LINES,
    "application/x-jsonlines": JSON_LINES,
    "application/csv": CSV,
    "text/x-csv": CSV,
    "application/vnd.ms-excel": CSV,
    "audio/x-wav": WAV,
    "audio/wave": WAV,
    "audio/vnd.wave": WAV,
    "audio/x-pn-wav": WAV,
}
"""Other names of media types, as browsers, stores and libraries use them."""

SILENT = frozenset({"", "application/octet-stream", "binary/octet-stream", "application/x-www-form-urlencoded", "*/*"})
"""Media types that say nothing about a payload: the defaults of curl, browsers and S3."""

MEDIA_TYPE_BY_SUFFIX = {
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "jpe": "image/jpeg",
    "jfif": "image/jpeg",
    "png": "image/png",
    "webp": "image/webp",
    "gif": "image/gif",
    "bmp": "image/bmp",
    "dib": "image/bmp",
    "tif": "image/tiff",
    "tiff": "image/tiff",
    "npy": NPY,
    "txt": TEXT,
    "json": JSON,
    "csv": CSV,
    "tsv": TSV,
    "jsonl": JSON_LINES,
    "ndjson": JSON_LINES,
    "wav": WAV,
    "wave": WAV,
}
"""The media types of stored objects by the suffix of their key."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"

_BLANKS = b" \t\r\n"

_BEGINNING_BYTES = 64
"""The bytes among which JSON must begin to be recognized."""


def kind_of(body: bytes, media_type: str = "", key: str = "") -> str:
    """Return the media type of a payload by its first bytes, else by the declared type, else by its key, else a guess.

    Args:
        body: The payload.
        media_type: The declared type with its parameters; empty if no type is declared.
        key: The key of a stored object; empty for other payloads.

    Returns:
        One of `MEDIA_TYPES`, or another type to name in an error; empty if nothing is known.
    """
    declared = canonical(media_type)
    sniffed = sniff(body)
    if sniffed is not None:
        return sniffed
    if declared in MEDIA_TYPES and not (declared in image_headers.FORMATS and _unsupported(body)):
        return declared
    by_key = media_type_of(key)
    if by_key in MEDIA_TYPES and by_key not in image_headers.FORMATS:
        return by_key
    if declared in SILENT and begins_as_json(body):
        return JSON
    return _unsupported(body) or (by_key if declared in SILENT else declared)


def canonical(media_type: str) -> str:
    """Return the first of several media types in lower case, under one name and without its parameters."""
    kind = media_type.partition(";")[0].partition(",")[0].strip().strip('"').lower()
    return JSON if kind.endswith("+json") else ALIASES.get(kind, kind)


def parameter_of(media_type: str, name: str) -> str:
    """Return a parameter of a media type, such as `charset`, in lower case; empty if it is not declared."""
    for parameter in media_type.split(";")[1:]:
        key, _, value = parameter.partition("=")
        if key.strip().lower() == name:
            return value.strip().strip('"').lower()
    return ""


def sniff(body: bytes) -> str | None:
    """Return the media type of an image, a sound or an array by its first bytes; None for anything else."""
    if body.startswith(b"RIFF") and body[8:12] == b"WAVE":
        return WAV
    return NPY if body.startswith(npy.MAGIC) else image_headers.sniff(body)


def begins_as_json(body: bytes) -> bool:
    """Return whether a body begins like a JSON object or list."""
    return body[:_BEGINNING_BYTES].removeprefix(_BYTE_ORDER_MARK).lstrip(_BLANKS)[:1] in {b"{", b"["}


def media_type_of(key: str) -> str:
    """Return the media type for the suffix of a key; the suffix itself if it is unknown, and empty without one."""
    _, dot, suffix = key.rpartition("/")[2].lower().rpartition(".")
    return MEDIA_TYPE_BY_SUFFIX.get(suffix, suffix) if dot else ""


def _unsupported(body: bytes) -> str | None:
    """Return the media type of an image or a sound in an unsupported format, so that an error can name it."""
    if body.startswith((b"ID3", b"fLaC", b"OggS")):
        return {b"ID": "audio/mpeg", b"fL": "audio/flac", b"Og": "audio/ogg"}[body[:2]]
    if body[:1] != b"\0" or body[4:8] != b"ftyp":
        return None
    return {b"avif": "image/avif", b"avis": "image/avif", b"M4A ": "audio/mp4"}.get(body[8:12], "image/heic")
