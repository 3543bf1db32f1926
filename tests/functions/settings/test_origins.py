import pytest

from onnxlet.errors import SettingsError
from onnxlet.settings import Settings


@pytest.mark.parametrize(
    "text",
    [
        "https://app.example.com",
        "http://localhost:3000,https://xn--bcher-kva.example",
        "http://127.0.0.1:8080 http://[::1]:8080",
        "capacitor://localhost chrome-extension://abcdefghijklmnop",
        "https://example.com:80",
        "http://a_b.example:443",
        "*",
    ],
)
def test_origins_are_listed_as_browsers_spell_them(text: str) -> None:
    found = Settings.from_environment({"ONNXLET_REGISTRY": "s3://b", "ONNXLET_CORS_ORIGINS": text}).cors_origins
    assert list(found) == text.replace(",", " ").split()


@pytest.mark.parametrize("text", ["", " ", ","])
def test_by_default_no_origin_is_listed(text: str) -> None:
    assert Settings.from_environment({"ONNXLET_REGISTRY": "s3://b", "ONNXLET_CORS_ORIGINS": text}).cors_origins == ()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("https://app.example.com/", "a path"),
        ("https://app.example.com/app", "a path"),
        ("app.example.com", "no scheme"),
        ("localhost:3000", "no scheme"),
        ("https://App.example.com", "capital letters"),
        ("HTTPS://app.example.com", "capital letters"),
        ("https://app.example.com:443", "the port 443, which browsers leave out"),
        ("http://app.example.com:80", "the port 80, which browsers leave out"),
        ("http://app.example.com:99999999999999", "does not exist"),
        ("http://app.example.com:080", "another spelling"),
        ("http://app.example.com:", "another spelling"),
        ("https://*.example.com", "a pattern"),
        ("https://bücher.example", "ASCII form"),
        ("https://user@app.example.com", "another spelling"),
        ("https://app..example.com", "the host"),
        ("http://127.1", "the host"),
        ("http://127.0.0.01", "the host"),
        ("http://0x7f000001", "the host"),
        ("http://[0:0:0:0:0:0:0:1]", "the host"),
        ("http://[::1", "another spelling"),
        ("null", "null"),
        ("file://localhost", "file:"),
        ("wss://app.example.com", "wss:"),
        ("* https://app.example.com", r"\* next to other origins"),
        ('"https://app.example.com"', "another spelling"),
    ],
)
def test_a_spelling_that_no_browser_sends_is_refused_at_start(text: str, words: str) -> None:
    with pytest.raises(SettingsError, match=f"ONNXLET_CORS_ORIGINS: .*{words}"):
        Settings.from_environment({"ONNXLET_REGISTRY": "s3://b", "ONNXLET_CORS_ORIGINS": text})
