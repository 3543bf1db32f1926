"""`onnxlet keys`, as a user runs it, and as many users at once."""

import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli import keys
from onnxlet.config import StorageSettings
from onnxlet.contract import layout
from onnxlet.contract.access import Key, Keys
from onnxlet.errors import OnnxletError
from onnxlet.store import Store, open_store

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
    assert "keep it now" in done.stderr
    assert text.rpartition("_")[2].encode() not in store.read(layout.ACCESS_DOCUMENT).data
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
    assert isinstance(done.exception, OnnxletError)
    assert re.search(words, str(done.exception))
    assert layout.ACCESS_DOCUMENT not in store.keys("")


def test_a_key_that_expired_is_listed_as_such(run: Run, store: Store) -> None:
    now = datetime.now(UTC)
    expired = Key("0" * 12, "Ada", "0" * 64, now, expires_at=now - timedelta(seconds=1))
    store.put_if_absent(layout.ACCESS_DOCUMENT, Keys([expired]).to_json())
    assert json.loads(run("list", "--json").stdout)[0]["state"] == "expired"


def test_keys_that_are_made_at_once_are_all_there(shared_root: str, storage: StorageSettings) -> None:
    store = open_store(shared_root, storage, create=True)

    def create(number: int) -> None:
        key = Key(f"{number:012x}", "Ada", "0" * 64, datetime.now(UTC))
        keys._change(store, lambda found: found.with_key(key))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(create, range(16)))
    found = Keys.from_json(store.read(layout.ACCESS_DOCUMENT).data)
    assert sorted(key.id for key in found) == [f"{number:012x}" for number in range(16)]
