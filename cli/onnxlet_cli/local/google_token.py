"""A file with the user's Google access token: functions on this machine cannot read every kind of credentials."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from onnxlet_publishing.errors import AccountError
from onnxlet_publishing.google_identity import Identity

VARIABLE = "CLOUDSDK_AUTH_ACCESS_TOKEN_FILE"
"""The variable of gcloud for such a file, which the functions also read."""

RENEW_S = 20 * 60
"""A third of a token's lifetime, so two renewals may fail."""


@contextmanager
def token_file(identity: Identity, renew_s: float = RENEW_S) -> Iterator[dict[str, str]]:
    """Keep a token in a file that nobody else can read while the context lasts, and yield the variable that names it.

    Raises:
        AccountError: Google does not accept the credentials.
    """
    done = threading.Event()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "token"
        _write(path, identity.token())
        thread = threading.Thread(target=_renew, args=(path, identity, done, renew_s), daemon=True)
        thread.start()
        try:
            yield {VARIABLE: str(path)}
        finally:
            done.set()
            thread.join()


def _renew(path: Path, identity: Identity, done: threading.Event, renew_s: float) -> None:
    """Write a new token from time to time; if Google issues none, the last one stays valid for a while."""
    while not done.wait(renew_s):
        try:
            _write(path, identity.token())
        except AccountError:
            continue


def _write(path: Path, token: str) -> None:
    """Replace the file atomically: a function may be reading it."""
    new = path.with_suffix(".new")
    new.write_text(token)
    new.replace(path)
