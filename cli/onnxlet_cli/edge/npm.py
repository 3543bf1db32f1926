"""Packages of npm's registry, each checked against the SHA-512 that it was chosen by; npm itself is not needed."""

import hashlib
import io
import os
import tarfile
import urllib.request
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass

from onnxlet.errors import ArtifactError, StoreError

DEFAULT_REGISTRY = "https://registry.npmjs.org"
TIMEOUT_S = 60


@dataclass(frozen=True)
class Package:
    """One version of a package."""

    name: str
    version: str
    sha512: str
    """As base64, which the registry calls its integrity."""

    def __str__(self) -> str:
        """Its name and version."""
        return f"{self.name}-{self.version}"

    def url(self) -> str:
        """Where it is: in npm's registry, or in the one that `NPM_CONFIG_REGISTRY` names."""
        registry = os.environ.get("NPM_CONFIG_REGISTRY") or DEFAULT_REGISTRY
        return f"{registry.rstrip('/')}/{self.name}/-/{self}.tgz"


def fetch(package: Package, paths: Sequence[str]) -> list[bytes]:
    """Files of a package, by their paths in it.

    Raises:
        StoreError: it cannot be had.
        ArtifactError: what came is not the package.
    """
    data = _download(package.url())
    found = b64encode(hashlib.sha512(data).digest()).decode()
    if found != package.sha512:
        raise ArtifactError(f"{package.url()}: expected SHA-512 {package.sha512}, got {found}")
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
        return [_read(archive, path) for path in paths]


def _download(url: str) -> bytes:
    if not url.startswith(("https://", "http://")):
        raise StoreError(f"NPM_CONFIG_REGISTRY: expected a URL of http, got {url}")
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as reply:  # noqa: S310 - looked at above
            data: bytes = reply.read()
    except OSError as error:
        raise StoreError(f"{url}: cannot be fetched: {error}") from error
    return data


def _read(archive: tarfile.TarFile, path: str) -> bytes:
    file = archive.extractfile(f"package/{path}")
    assert file is not None, "its SHA-512 says that it is there"
    return file.read()
