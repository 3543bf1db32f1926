import hashlib

import pytest

from onnxlet.contract import layout
from onnxlet.errors import InvalidNameError

BAD_NAMES = [
    "",
    ".",
    "..",
    "-a",
    "_a",
    "a/b",
    "a\\b",
    "A",
    "a b",
    "a\n",
    "a\0",
    "ä",
    "a" * 64,
    "%2e%2e",
    "../../x",
    "١",
]


@pytest.mark.parametrize("name", ["a", "0", "digits", "my-model_v2.1", "a" * 63, "1.2"])
def test_possible_names(name: str) -> None:
    assert layout.parse_name(name) == name


@pytest.mark.parametrize("name", BAD_NAMES)
def test_impossible_names(name: str) -> None:
    with pytest.raises(InvalidNameError, match="model name"):
        layout.parse_name(name)


def test_a_very_long_name_does_not_fill_the_error() -> None:
    with pytest.raises(InvalidNameError) as caught:
        layout.parse_name("x" * 10_000)
    assert len(str(caught.value)) < 300


def test_an_impossible_alias_is_called_one() -> None:
    with pytest.raises(InvalidNameError, match="alias name 'Live': expected 1 to 63 of"):
        layout.parse_alias("Live")


def test_an_alias_cannot_be_read_as_a_version() -> None:
    assert layout.parse_alias("v2") == "v2"
    with pytest.raises(InvalidNameError, match="not a number"):
        layout.parse_alias("2")


@pytest.mark.parametrize(("text", "version"), [("1", 1), ("20", 20), ("999999999", 999_999_999)])
def test_possible_versions(text: str, version: int) -> None:
    assert layout.parse_version(text) == version


@pytest.mark.parametrize("text", ["0", "-1", "01", "1.0", "", "x", "1\n", "1234567890", "²", "١"])
def test_impossible_versions(text: str) -> None:
    with pytest.raises(InvalidNameError, match="version"):
        layout.parse_version(text)


def test_keys_are_those_that_the_contract_draws() -> None:
    assert layout.blob_key("ab") == "blobs/sha256/ab"
    assert layout.version_key("m", 12) == "models/m/versions/12.json"
    assert layout.alias_key("m", "live") == "models/m/aliases/live.json"
    assert layout.version_of_key("m", "models/m/versions/12.json") == 12
    for key in ("models/m/versions/x.json", "models/m/versions/01.json", "models/m/aliases/1.json", "x"):
        assert layout.version_of_key("m", key) is None


def test_every_key_lies_in_a_folder_of_the_registry() -> None:
    keys = (
        layout.blob_key("0" * 64),
        layout.version_key("m", 1),
        layout.alias_key("m", "live"),
        layout.API_KEYS_DOCUMENT,
        layout.edge_key("x"),
    )
    assert {key.partition("/")[0] for key in keys} == set(layout.FOLDERS)
    assert layout.FOLDERS == ("models", "blobs", "access", "edge")


def test_the_object_that_tries_the_conditions_is_a_blob_like_any_other() -> None:
    assert layout.PROBE == b"Does this store keep the conditions of writes?\n"
    assert layout.blob_key(hashlib.sha256(layout.PROBE).hexdigest()) == layout.PROBE_KEY
