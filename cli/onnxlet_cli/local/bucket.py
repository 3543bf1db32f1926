"""A folder served as a read-only bucket, with the GET responses of S3 and Cloud Storage."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from pathlib import Path
from urllib.parse import unquote

from onnxlet_cli.local.http import Handler, serving

NAME = "inbox"
"""The bucket's name in events and results."""


@contextmanager
def serve_bucket(folder: Path) -> Iterator[str]:
    """Serve the files under `folder` as the objects of the bucket `NAME`, and yield the endpoint's URL."""

    class BucketHandler(Handler):
        def do_GET(self) -> None:
            """Send an object, or for HEAD its headers."""
            bucket, _, key = unquote(self.path.partition("?")[0]).lstrip("/").partition("/")
            file = _find(folder, key)
            if bucket != NAME or file is None:
                code = "NoSuchKey" if bucket == NAME else "NoSuchBucket"
                body = f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code></Error>'
                self.reply(404, body.encode(), {"content-type": "application/xml"})
                return
            data = file.read_bytes()
            headers = {  # which obstore needs
                "etag": f'"{etag_of(data)}"',
                "last-modified": formatdate(file.stat().st_mtime, usegmt=True),
                "content-type": "application/octet-stream",
            }
            self.reply(200, data, headers)

        do_HEAD = do_GET

    with serving(BucketHandler) as url:
        yield url


def etag_of(data: bytes) -> str:
    """Return S3's etag of an object that was uploaded in one piece."""
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def _find(folder: Path, key: str) -> Path | None:
    """Return the file of exactly this key, or None if the folder has none: `/a` and `b/../a` are not `a`."""
    if any(part in {"", ".", ".."} for part in key.split("/")):
        return None
    root = folder.resolve()
    file = (root / key).resolve()
    return file if file.is_relative_to(root) and file.is_file() else None
