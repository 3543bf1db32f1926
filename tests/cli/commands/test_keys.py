"""`onnxlet keys`, as a user runs it, and as many users at once."""

import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from onnxlet.contract import layout
from onnxlet.contract.api_keys import Key, Keys
from onnxlet.contract.document import MAX_DOCUMENT_BYTES, MAX_STATE_BYTES, to_json
from onnxlet.errors import OnnxletError
from onnxlet.storage import Store, open_store
from onnxlet.storage.connection import StorageSettings
from onnxlet_cli.commands import keys
from onnxlet_publishing.errors import CommandError

Run = Callable[..., Result]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path.as_uri())


@pytest.fixture
def run(store: Store) -> Run:
    """Run `onnxlet keys` on the store's registry; a process for each takes longer than all else here."""
    environment = {"ONNXLET_REGISTRY": store.url, "COLUMNS": "200"}
    return lambda *arguments: CliRunner().invoke(keys.app, list(arguments), env=environment)


def test_a_key_is_made_listed_and_revoked(run: Run, store: Store) -> None:
    assert run().stdout.startswith("No keys in file://")
    done = run("create", "Ada's app", "--models", "cats, dogs", "--quota", "100", "--expires", "2199-01-01")
    text = done.stdout.strip()
    assert re.fullmatch(r"onnxlet_[0-9a-f]{12}_[0-9a-f]{64}", text)
    assert "Keep it now" in done.stderr
    assert text.rpartition("_")[2].encode() not in store.read(layout.API_KEYS_DOCUMENT).data
    key_id = text.split("_")[1]
    (row,) = json.loads(run("--json").stdout)
    assert (row["id"], row["name"], row["state"]) == (key_id, "Ada's app", "good")
    assert (row["models"], row["quota"], row["expires"]) == (["cats", "dogs"], 100, "2199-01-01T00:00:00+00:00")
    assert run("revoke", key_id).stdout == f"{key_id} (Ada's app) is revoked\n"
    other = json.loads(run("create", "other", "--json").stdout)
    assert other["key"].split("_")[1] == other["id"]
    table = run("list").stdout.splitlines()
    assert table[0].split() == ["id", "name", "state", "models", "quota", "created", "expires"]
    assert "revoked" in table[1]
    assert "good" in table[2]
    assert json.loads(run("revoke", key_id, "--json").stdout)["state"] == "revoked"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["create", ""], "1 to 200 printable"),
        (["create", "a\nb"], "1 to 200 printable"),
        (["create", "a", "--models", "cats,../up"], r"'\.\./up'"),
        (["create", "a", "--expires", "soon"], "--expires soon: expected a date like 2027-12-31"),
        (["create", "a", "--expires", "2020-01-01"], "in the future"),
        (["revoke", "0123456789ab"], "no such key .* onnxlet keys lists them"),
    ],
)
def test_what_makes_no_sense_is_refused(run: Run, store: Store, arguments: list[str], words: str) -> None:
    done = run(*arguments)
    assert isinstance(done.exception, CommandError | OnnxletError)
    assert re.search(words, str(done.exception))
    assert layout.API_KEYS_DOCUMENT not in store.keys("")


def test_a_key_that_expired_is_listed_as_such(run: Run, store: Store) -> None:
    now = datetime.now(UTC)
    expired = Key("0" * 12, "Ada", "0" * 64, now, expires_at=now - timedelta(seconds=1))
    store.put_if_absent(layout.API_KEYS_DOCUMENT, Keys([expired]).to_json())
    assert json.loads(run("list", "--json").stdout)[0]["state"] == "expired"


def test_keys_that_are_made_at_once_are_all_there(shared_root: str, storage: StorageSettings) -> None:
    store = open_store(shared_root, storage, create=True)

    def create(number: int) -> None:
        key = Key(f"{number:012x}", "Ada", "0" * 64, datetime.now(UTC))
        keys._change(store, lambda found: found.with_key(key))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(create, range(16)))
    found = Keys.from_json(store.read(layout.API_KEYS_DOCUMENT).data)
    assert sorted(key.id for key in found) == [f"{number:012x}" for number in range(16)]


def test_twenty_thousand_keys_are_listed_made_and_revoked_and_old_ones_forgotten(run: Run, store: Store) -> None:
    """As onnxlet wrote them before: without a digest, revoked ones for ever, and more than it read."""
    now = datetime.now(UTC).replace(microsecond=0)
    old, late = now - timedelta(days=31), now - timedelta(days=29)
    ends = (None, {"revoked_at": old}, {"expires_at": old}, {"revoked_at": late})
    entries = []
    for number in range(20_000):
        key = Key(f"{number:012x}", f"Ada's app {number}", "0" * 64, old)
        entry = {"id": key.id, "name": key.name, "sha256": key.sha256, "created_at": old.isoformat()}
        entries.append(entry | {name: at.isoformat() for name, at in (ends[number % 4] or {}).items()})
    data = to_json({"schema": 1, "keys": entries})
    assert len(data) > MAX_DOCUMENT_BYTES
    store.put_if_absent(layout.API_KEYS_DOCUMENT, data)
    assert len(json.loads(run("--json").stdout)) == 20_000
    assert run("create", "new").exit_code == 0
    after = store.read(layout.API_KEYS_DOCUMENT).data
    assert len(after) < len(data) * 0.6
    assert len(json.loads(run("--json").stdout)) == 10_001, "the good ones, and those that ended lately"
    assert json.loads(run("revoke", "000000000000", "--json").stdout)["state"] == "revoked"
    assert Keys.from_json(store.read(layout.API_KEYS_DOCUMENT).data).get("000000000003") is not None
    fails = run("revoke", "000000000001")
    assert "no such key" in str(fails.exception)


def test_a_document_that_is_too_large_for_functions_is_repaired_by_the_next_change(run: Run, store: Store) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    large = Keys([Key("0" * 12, "Ada", "0" * 64, now)]).to_json().ljust(MAX_STATE_BYTES + 1)
    store.put_if_absent(layout.API_KEYS_DOCUMENT, large)
    with pytest.raises(OnnxletError, match="expected at most"):
        Keys.from_json(large)
    assert json.loads(run("revoke", "0" * 12, "--json").stdout)["state"] == "revoked"
    assert len(Keys.from_json(store.read(layout.API_KEYS_DOCUMENT).data).to_json()) < 1000


def test_what_functions_would_not_read_is_not_written(run: Run, store: Store) -> None:
    assert run("create", "first").exit_code == 0
    data = store.read(layout.API_KEYS_DOCUMENT).data
    many = ",".join(f"model-{number}" for number in range(MAX_STATE_BYTES // 12))
    done = run("create", "one more", "--models", many)
    assert "expected at most" in str(done.exception)
    assert "let keys expire" in str(done.exception)
    assert store.read(layout.API_KEYS_DOCUMENT).data == data
