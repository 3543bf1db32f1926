import pytest

from onnxlet.media.media_types import kind_of, media_type_of, parameter_of

PNG, JPEG, WEBP = b"\x89PNG\r\n\x1a\n....", b"\xff\xd8\xff....", b"RIFF....WEBP"
NPY = b"\x93NUMPY\1\0"


@pytest.mark.parametrize(
    ("key", "media_type"),
    [
        ("a.png", "image/png"),
        ("in/A.JPG", "image/jpeg"),
        ("a.b.jpeg", "image/jpeg"),
        ("a.jfif", "image/jpeg"),
        ("a.webp", "image/webp"),
        ("a.npy", "application/x-npy"),
        ("a.csv", "text/csv"),
        ("a.TSV", "text/tab-separated-values"),
        ("a.jsonl", "application/jsonl"),
        ("a.ndjson", "application/jsonl"),
        ("a.wav", "audio/wav"),
        ("a.gif", "image/gif"),
        ("a.TIF", "image/tiff"),
        ("a.bmp", "image/bmp"),
        ("a.avif", "avif"),
        ("folder.png/name", ""),
        (".png", "image/png"),
        ("", ""),
    ],
)
def test_the_suffix_of_a_key_says_what_it_is(key: str, media_type: str) -> None:
    assert media_type_of(key) == media_type


@pytest.mark.parametrize(
    ("body", "declared", "key", "kind"),
    [
        # the first bytes come before everything
        (PNG, "image/jpeg", "a.webp", "image/png"),
        (JPEG, "application/json", "a.npy", "image/jpeg"),
        (WEBP, "", "noext", "image/webp"),
        (NPY, "multipart/form-data; boundary=x", "a.png.tmp", "application/x-npy"),
        (b"RIFF....WAVEfmt ", "application/json", "a.mp3", "audio/wav"),
        (b"GIF89a\x10\0\x10\0\xf0\0\0", "image/png", "a.png", "image/gif"),
        (b"BM\x46\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0", "", "noext", "image/bmp"),
        (b"II*\0\x08\0\0\0", "application/octet-stream", "", "image/tiff"),
        (b"MM\0*\0\0\0\x08", "image/x-tiff", "", "image/tiff"),
        (b"GIF89a is a format", "text/plain", "a.gif", "text/plain"),
        # then what is declared
        (b"a,b", "text/csv; header=present", "a.json", "text/csv"),
        (b"{}", "application/x-ndjson", "a.json", "application/jsonl"),
        (b"what?", "audio/x-wav", "", "audio/wav"),
        (b"[1]", "text/plain", "a.json", "text/plain"),
        (b"text", "application/vnd.api+json; charset=utf-8", "a.txt", "application/json"),
        (b"text", "IMAGE/JPG", "a.txt", "image/jpeg"),
        # then the suffix of the key
        (b"text", "binary/octet-stream", "a.txt", "text/plain"),
        (b"text", "application/x-whatever", "a.JSON", "application/json"),
        (b"text", "", "a.png", "image/png"),
        # then whether it begins as JSON
        (b"[1]", "", "", "application/json"),
        (b'\xef\xbb\xbf \r\n\t{"a": 1}', "binary/octet-stream", "noext", "application/json"),
        (b"[1]", "", "photo.png", "application/json"),
        (b"[1]", "application/x-whatever", "", "application/x-whatever"),
        # and what is not taken has a name
        (b"\0\0\0\x20ftypavif", "image/png", "a.png", "image/avif"),
        (b"\0\0\0\x20ftypavif", "", "noext", "image/avif"),
        (b"ID3....", "", "a.wav.part", "audio/mpeg"),
        (b"fLaC....", "application/octet-stream", "", "audio/flac"),
        (b"OggS....", "", "", "audio/ogg"),
        (b"\0\0\0\x20ftypM4A ", "", "", "audio/mp4"),
        (b"BMW and others", "", "", ""),
        (b"what?", "application/octet-stream", "a.tar.gz", "gz"),
    ],
)
def test_what_a_payload_is(body: bytes, declared: str, key: str, kind: str) -> None:
    assert kind_of(body, declared, key) == kind


def test_a_parameter_of_a_media_type_is_found_in_any_case() -> None:
    media_type = 'Text/CSV; Header=Absent; charset="UTF-8"'
    assert [parameter_of(media_type, name) for name in ("header", "charset", "boundary")] == ["absent", "utf-8", ""]
