from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from onnxlet.contract import access
from onnxlet.contract.access import Key, Keys
from onnxlet.errors import ManifestError

NOW = datetime(2026, 7, 1, tzinfo=UTC)
ID, TEXT = access.generate()
KEY = Key(ID, "Ada", access.digest(TEXT), NOW)
FULL = replace(KEY, expires_at=NOW + timedelta(days=1), revoked_at=NOW, models=("cats", "dogs"), quota=5)


def read(**fields: Any) -> Keys:
    document = orjson.loads(Keys([KEY]).to_json())
    document["keys"][0] |= fields
    return Keys.from_json(orjson.dumps(document))


def test_what_is_written_is_read() -> None:
    other = replace(FULL, id="0" * 12)
    data = Keys([KEY, other]).to_json()
    assert list(Keys.from_json(data)) == [KEY, other]
    assert Keys.from_json(data).to_json() == data


def test_the_document_has_no_key() -> None:
    assert TEXT.encode() not in Keys([KEY]).to_json()
    assert TEXT.rpartition("_")[2].encode() not in Keys([KEY]).to_json()


def test_a_key_has_256_random_bits_and_is_known_by_its_prefix() -> None:
    prefix, key_id, secret = TEXT.split("_")
    assert (prefix, key_id, len(bytes.fromhex(secret))) == ("onnxlet", ID, 32)
    assert len({access.generate() for _ in range(100)}) == 100


def test_a_key_is_found_by_what_its_owner_shows() -> None:
    assert Keys([FULL, replace(KEY, id="0" * 12), KEY]).find(TEXT, NOW) == KEY


def flipped(text: str) -> str:
    return text[:-1] + ("0" if text[-1] != "0" else "1")


@pytest.mark.parametrize(
    "text",
    [
        "",
        flipped(TEXT),
        TEXT[:-1],
        f"{TEXT}0",
        f"{TEXT}\n",
        f" {TEXT}",
        TEXT.upper(),
        TEXT.replace(ID, "0" * 12),
        TEXT.replace("_", "-"),
        KEY.sha256,
        f"onnxlet_{ID}_{KEY.sha256}",
        f"onnxlet_{ID}_{'é' * 64}",
        f"onnxlet_{ID}_{'٣' * 64}",
    ],
)
def test_anything_else_is_no_key(text: str) -> None:
    assert Keys([KEY]).find(text, NOW) is None


def test_a_key_is_good_until_it_expires_or_is_revoked() -> None:
    expiring = replace(KEY, expires_at=NOW + timedelta(seconds=1))
    assert Keys([expiring]).find(TEXT, NOW) == expiring
    assert Keys([expiring]).find(TEXT, NOW + timedelta(seconds=1)) is None
    revoked = access.revoked(KEY, NOW)
    assert Keys([KEY]).with_key(revoked).find(TEXT, NOW - timedelta(days=1)) is None
    assert access.revoked(revoked, NOW + timedelta(days=1)) == revoked, "it was good for nothing before"


def test_a_key_names_its_models_alone() -> None:
    assert KEY.may_use("anything")
    assert FULL.may_use("cats")
    assert not FULL.may_use("birds")
    assert not replace(KEY, models=()).may_use("cats")


def test_a_time_without_a_zone_is_refused_and_others_are_utc() -> None:
    (key,) = read(created_at="2026-07-01T02:00:00+02:00")
    assert key.created_at == NOW
    with pytest.raises(ManifestError, match=r"keys\[0\]\.created_at: expected a time of RFC 3339, with its zone"):
        read(created_at="2026-07-01T02:00:00")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"id": "../up"}, r"keys\[0\]\.id: expected 12 of 0-9, a-f"),
        ({"sha256": "0" * 63}, r"keys\[0\]\.sha256"),
        ({"created_at": None}, r"keys\[0\]\.created_at"),
        ({"expires_at": "soon"}, r"keys\[0\]\.expires_at"),
        ({"expires_at": "9999-12-31T23:59:59-14:00"}, r"keys\[0\]\.expires_at"),
        ({"revoked_at": 7}, r"keys\[0\]\.revoked_at"),
        ({"models": "cats"}, r"keys\[0\]\.models: expected a list of strings"),
        ({"quota": 0}, r"keys\[0\]\.quota: expected an integer from 1"),
        ({"quota": True}, r"keys\[0\]\.quota"),
        ({"name": ""}, r"keys\[0\]\.name"),
    ],
)
def test_a_bound_that_cannot_be_read_is_never_left_out(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ManifestError, match=words):
        read(**fields)


def test_documents_that_contradict_themselves_or_are_of_another_schema_are_refused() -> None:
    with pytest.raises(ManifestError, match="two keys have the same id"):
        Keys.from_json(b'{"schema": 1, "keys": [%s, %s]}' % ((orjson.dumps(entry()),) * 2))
    with pytest.raises(ManifestError, match="schema"):
        Keys.from_json(b'{"schema": 2, "keys": []}')
    with pytest.raises(ManifestError, match="expected JSON"):
        Keys.from_json(b"{")


def entry() -> Any:
    return orjson.loads(Keys([KEY]).to_json())["keys"][0]
