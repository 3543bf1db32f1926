"""The source: the data that `--data` names, on this machine or in object storage."""

import hashlib
import secrets
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

from onnxlet.storage import open_store
from onnxlet_publishing.errors import UsageError
from onnxlet_publishing.google_identity import storage_of

REMOTE_SCHEMES = ("s3://", "gs://")
CONCURRENT_OBJECTS = 16


class Source:
    """A file, a folder or a URL (`file://`, `s3://`, `gs://`); without a location, recipes take their own data."""

    def __init__(self, location: str | None, cache: Path) -> None:
        self.location = location
        self._cache = cache

    def path(self) -> Path | None:
        """Return the data's path on this machine, after a download if necessary; None without a location.

        Raises:
            UsageError: nothing exists at the location.
            StoreError: the store does not answer.
        """
        if self.location is None:
            return None
        if self.location.startswith(REMOTE_SCHEMES):
            return _fetch(self.location, self._cache)
        path = Path(self.location.removeprefix("file://"))
        if not path.exists():
            raise UsageError(f"--data {self.location}: no such file or folder")
        return path

    def require_path(self, what: str) -> Path:
        """Return the data's path, for a recipe without data of its own.

        Raises:
            UsageError: there is no location; the text says that `what` is needed.
        """
        path = self.path()
        if path is None:
            raise UsageError(f"--data: expected {what}, got nothing")
        return path


def _fetch(url: str, cache: Path) -> Path:
    """Download an object, or all objects under a prefix in parallel; files from an earlier download stay."""
    scheme, _, rest = url.partition("://")
    bucket, _, prefix = rest.rstrip("/").partition("/")
    root = f"{scheme}://{bucket}"
    store = open_store(root, storage_of(root))
    target = cache / hashlib.sha256(url.encode()).hexdigest()[:16]
    keys = sorted(store.keys(prefix)) or ([prefix] if prefix else [])

    def fetch(key: str) -> None:
        relative = PurePosixPath(key).relative_to(prefix) if key != prefix else PurePosixPath(PurePosixPath(key).name)
        path = target / relative
        if path.exists():
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")  # other processes may download it too
        with partial.open("wb") as file:
            for chunk in store.chunks(key):
                file.write(chunk)
        shutil.move(partial, path)

    with ThreadPoolExecutor(CONCURRENT_OBJECTS) as pool:
        list(pool.map(fetch, [key for key in keys if not key.endswith("/")]))
    return target / PurePosixPath(prefix).name if keys == [prefix] else target
