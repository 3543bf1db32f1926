"""`onnxlet keys`: makes, lists and revokes the API keys of a registry; functions need no new deployment."""

import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from onnxlet.contract import api_keys, layout
from onnxlet.contract.api_keys import MAX_QUOTA, Key, Keys
from onnxlet.contract.document import MAX_REPAIR_BYTES
from onnxlet.errors import ConflictError, ObjectNotFoundError
from onnxlet.storage import Store
from onnxlet_cli import output
from onnxlet_cli.options import JsonOption, RegistryOption
from onnxlet_cli.registry import open_registry
from onnxlet_publishing.errors import UsageError

app = typer.Typer(invoke_without_command=True, pretty_exceptions_enable=False)

MAX_SWAPS = 100
"""The most attempts if others write keys at the same time."""
MAX_PAUSE_S = 0.1


@app.callback()
def keys(context: typer.Context, registry: RegistryOption = None, json: JsonOption = False) -> None:
    """Manage the API keys of a registry, for functions with ONNXLET_ACCESS=keys; without a subcommand, list them."""
    if context.invoked_subcommand is None:
        list_keys(registry, json)


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Owner of the key, as lists show it.")],
    models: Annotated[
        str | None, typer.Option(metavar="NAMES", help="Models that the key may use: a,b (default: all).")
    ] = None,
    quota: Annotated[
        int | None, typer.Option(min=1, max=MAX_QUOTA, help="Requests per UTC day (default: unlimited).")
    ] = None,
    expires: Annotated[
        str | None, typer.Option(metavar="DATE", help="2027-12-31, or a time; UTC without a zone (default: never).")
    ] = None,
    registry: RegistryOption = None,
    json: JsonOption = False,
) -> None:
    """Make a key and print it once: the registry stores only its hash."""
    if not name or len(name) > 200 or not name.isprintable():
        raise UsageError(f"NAME {name[:80]!r}: expected 1 to 200 printable characters")
    now = datetime.now(UTC).replace(microsecond=0)
    key_id, text = api_keys.generate()
    key = Key(
        key_id,
        name,
        api_keys.digest(text),
        now,
        expires_at=None if expires is None else _parse_expiry(expires, now),
        models=None if models is None else tuple(layout.parse_name(model.strip()) for model in models.split(",")),
        quota=quota,
    )
    _change(open_registry(registry, create=True).store, lambda keys: keys.with_key(key))
    output.show({**_row(key), "key": text}, text, json=json)
    if not json:
        output.print_note(f"This is key {key_id} of {name}. Keep it now: it is stored nowhere and not shown again.")


@app.command("list")
def list_keys(registry: RegistryOption = None, json: JsonOption = False) -> None:
    """List the keys with their models and quotas."""
    store = open_registry(registry).store
    rows = [_row(key) for key in _read(store)[0]]
    hint = f"No keys in {store.url} yet: onnxlet keys create NAME"
    output.show(rows, *([] if rows else [hint]), rows=rows, json=json)


@app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="Identifier of the key, as lists show it.")],
    registry: RegistryOption = None,
    json: JsonOption = False,
) -> None:
    """Revoke a key: functions refuse it within ONNXLET_REFRESH_S, at most a minute."""
    store = open_registry(registry).store
    now = datetime.now(UTC).replace(microsecond=0)

    def revoked(keys: Keys) -> Keys:
        key = keys.get(key_id)
        if key is None:
            raise UsageError(f"{key_id[:80]!r}: no such key in {store.url}; onnxlet keys lists them")
        return keys.with_key(api_keys.revoked(key, now))

    key = _change(store, revoked).get(key_id)
    assert key is not None, "it was just changed"
    output.show(_row(key), f"{key.id} ({key.name}) is revoked", json=json)


def _change(store: Store, change: Callable[[Keys], Keys]) -> Keys:
    """Change the keys by compare-and-swap, and return the changed ones.

    Raises:
        ConflictError: Others write faster than we can.
    """
    for _ in range(MAX_SWAPS):
        keys, revision = _read(store)
        changed = change(keys).without_forgotten(datetime.now(UTC))
        data = changed.to_json()
        Keys.from_json(data)  # nothing is written that could not be read back
        try:
            store.replace(layout.API_KEYS_DOCUMENT, data, revision)
        except ConflictError:
            time.sleep(random.uniform(0, MAX_PAUSE_S))  # noqa: S311 - to keep out of others' way
        else:
            return changed
    raise ConflictError(
        f"{store.url}/{layout.API_KEYS_DOCUMENT}: others changed it {MAX_SWAPS} times during this change: try again"
    )


def _read(store: Store) -> tuple[Keys, Any]:
    """Return the keys and their revision; no keys if nobody has made any."""
    try:
        stored = store.read(layout.API_KEYS_DOCUMENT)
    except ObjectNotFoundError:
        return Keys(), None
    return Keys.from_json(stored.data, at_most=MAX_REPAIR_BYTES), stored.revision


def _row(key: Key) -> output.Row:
    """Return a key as a row of the list."""
    now = datetime.now(UTC)
    state = "revoked" if key.revoked_at else "good" if key.is_valid(now) else "expired"
    return {
        "id": key.id,
        "name": key.name,
        "state": state,
        "models": None if key.models is None else list(key.models),
        "quota": key.quota,
        "created": key.created_at.isoformat(),
        "expires": key.expires_at and key.expires_at.isoformat(),
    }


def _parse_expiry(text: str, now: datetime) -> datetime:
    """Return a time in the future.

    Raises:
        UsageError: The text is not a time, or the time has passed.
    """
    try:
        found = datetime.fromisoformat(text)
        found = (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise UsageError(f"--expires {text[:80]}: expected a date like 2027-12-31") from error
    if found <= now:
        raise UsageError(f"--expires {text}: expected a time in the future, it is {now.isoformat()}")
    return found
