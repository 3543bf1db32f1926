from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from onnxlet.contract import api_keys
from onnxlet.contract.api_keys import FORGOTTEN_AFTER, Key, Keys
from onnxlet.contract.document import MAX_STATE_BYTES
from onnxlet.errors import ManifestError
from onnxlet.record import replace
from tests.helpers.damage import every_flip, resealed

NOW = datetime(2026, 7, 1, tzinfo=UTC)
ID, TEXT = api_keys.generate()
KEY = Key(ID, "Ada", api_keys.digest(TEXT), NOW)
FULL = replace(KEY, expires_at=NOW + timedelta(days=1), revoked_at=NOW, models=("cats", "dogs"), quota=5)


def read(**fields: Any) -> Keys:
    document = orjson.loads(Keys([KEY]).to_json())
    document["keys"][0] |= fields
    return Keys.from_json(resealed(document))


def as_before(**fields: Any) -> bytes:
    """Return the document as it was written before it was sealed: without a digest, and without nulls."""
    document = orjson.loads(Keys([FULL]).to_json())
    entry = {name: value for name, value in (document["keys"][0] | fields).items() if value is not None}
    return orjson.dumps({"schema": 1, "keys": [entry]})


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
    assert len({api_keys.generate() for _ in range(100)}) == 100


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
    revoked = api_keys.revoked(KEY, NOW)
    assert Keys([KEY]).with_key(revoked).find(TEXT, NOW - timedelta(days=1)) is None
    assert api_keys.revoked(revoked, NOW + timedelta(days=1)) == revoked, "it was good for nothing before"


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
        Keys.from_json(b'{"schema": 3, "keys": []}')
    with pytest.raises(ManifestError, match="SHA-256"):
        Keys.from_json(b'{"schema": 2, "keys": []}')
    with pytest.raises(ManifestError, match="expected JSON"):
        Keys.from_json(b"{")


def entry() -> Any:
    return orjson.loads(Keys([KEY]).to_json())["keys"][0]


def test_a_document_of_before_it_was_sealed_is_read() -> None:
    assert list(Keys.from_json(as_before())) == [FULL]
    assert list(Keys.from_json(as_before(quota=None, models=None))) == [replace(FULL, quota=None, models=None)]


@pytest.mark.parametrize("name", ["revoked_at", "expires_at", "models", "quota"])
def test_a_field_that_nobody_knows_may_be_a_bound_and_is_refused(name: str) -> None:
    for data in (as_before(), Keys([FULL]).to_json()):
        with pytest.raises(ManifestError, match=r"keys\[0\]: the field 's.*' is unknown|SHA-256"):
            Keys.from_json(data.replace(name.encode(), b"s" + name[1:].encode()))
    with pytest.raises(ManifestError, match=r"keys\[0\]: the field 'notes' is unknown"):
        read(notes="")
    document = orjson.loads(Keys([FULL]).to_json())
    with pytest.raises(ManifestError, match=r"keys\.json: the field 'more' is unknown"):
        Keys.from_json(resealed({**document, "more": 1}))
    del document["keys"][0][name]
    with pytest.raises(ManifestError, match=rf"keys\[0\]: the field '{name}' is missing"):
        Keys.from_json(resealed(document))


def test_no_flipped_bit_of_the_document_gives_more_rights() -> None:
    """Not one of its bits changes what any of three keys may do; most are refused."""
    (revoked_id, revoked), (expired_id, expired), (limited_id, limited) = (api_keys.generate() for _ in range(3))
    keys = Keys(
        [
            Key(revoked_id, "revoked", api_keys.digest(revoked), NOW, revoked_at=NOW),
            Key(expired_id, "expired", api_keys.digest(expired), NOW, expires_at=NOW),
            Key(limited_id, "limited", api_keys.digest(limited), NOW, models=("digits",), quota=100),
        ]
    )
    data = keys.to_json()
    refused = 0
    for flipped_data in every_flip(data):
        try:
            assert list(Keys.from_json(flipped_data)) == list(keys)
        except ManifestError:
            refused += 1
    assert refused > 8 * len(data) * 0.99


def test_a_key_that_ended_long_ago_is_forgotten_when_the_document_is_written() -> None:
    at = NOW + FORGOTTEN_AFTER
    just_before = NOW + timedelta(seconds=1)
    expired, revoked = replace(KEY, id="0" * 12, expires_at=NOW), replace(KEY, id="1" * 12, revoked_at=NOW)
    both = replace(KEY, id="2" * 12, revoked_at=NOW, expires_at=at + timedelta(days=1))
    kept = [
        KEY,
        replace(KEY, id="3" * 12, expires_at=just_before),
        replace(KEY, id="4" * 12, revoked_at=just_before),
        replace(KEY, id="5" * 12, expires_at=at + timedelta(days=1)),
    ]
    assert list(Keys([expired, *kept, revoked, both]).without_forgotten(at)) == kept
    assert timedelta(days=30) == FORGOTTEN_AFTER


@pytest.mark.large
def test_twenty_thousand_keys_are_written_and_read_and_too_many_are_not_written() -> None:
    keys = [replace(KEY, id=f"{number:012x}", name="x" * 40) for number in range(20_000)]
    data = Keys(keys).to_json()
    assert len(data) < MAX_STATE_BYTES / 2
    assert list(Keys.from_json(data)) == keys
    with pytest.raises(ManifestError, match=f"at most {len(data) - 1} bytes, got {len(data)}"):
        Keys.from_json(data, "keys", len(data) - 1)
    with pytest.raises(ManifestError, match=r"expected at most .* bytes, got .*: let keys expire"):
        Keys(replace(KEY, id=f"{number:012x}", name="x" * 1000) for number in range(20_000)).to_json()
