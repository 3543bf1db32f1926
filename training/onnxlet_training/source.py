"""The source: the data that a user names, from this machine or from object storage, and the digest of what was read."""

import hashlib
import secrets
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

from onnxlet.errors import InvalidRequestError
from onnxlet.storage import open_store
from onnxlet_publishing.google_identity import storage_of

REMOTE_SCHEMES = ("s3://", "gs://")
CONCURRENT_OBJECTS = 16


class Source:
    """What `--data` names: a file or a folder; or nothing, where a recipe takes its own data."""

    def __init__(self, location: str | None, cache: Path) -> None:
        """Take a path or a URL (`file://`, `s3://`, `gs://`), and a folder for what is fetched."""
        self.location = location
        self._cache = cache

    def path(self) -> Path | None:
        """The data on this machine, fetched where they are not; None where nothing was named.

        Raises:
            InvalidRequestError: there is nothing at the location.
            StoreError: the store does not answer.
        """
        if self.location is None:
            return None
        if self.location.startswith(REMOTE_SCHEMES):
            return _fetch(self.location, self._cache)
        path = Path(self.location.removeprefix("file://"))
        if not path.exists():
            raise InvalidRequestError(f"--data {self.location}: no such file or folder")
        return path

    def require_path(self, what: str) -> Path:
        """As `path`, where the recipe has no data of its own.

        Raises:
            InvalidRequestError: nothing was named; the text says that `what` is needed.
        """
        path = self.path()
        if path is None:
            raise InvalidRequestError(f"--data: expected {what}, got nothing")
        return path


def _fetch(url: str, cache: Path) -> Path:
    """Download an object, or all objects under a prefix, at the same time; what is there already stays."""
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
        partial = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")  # other processes may fetch it, too
        with partial.open("wb") as file:
            for chunk in store.chunks(key):
                file.write(chunk)
        shutil.move(partial, path)

    with ThreadPoolExecutor(CONCURRENT_OBJECTS) as pool:
        list(pool.map(fetch, [key for key in keys if not key.endswith("/")]))
    return target / PurePosixPath(prefix).name if keys == [prefix] else target
