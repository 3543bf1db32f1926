"""Packages of npm's registry, each checked against the SHA-512 that it was chosen by; npm itself is not needed."""

import hashlib
import io
import os
import tarfile
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass

from onnxlet_cli import http_client
from onnxlet_cli.errors import ServiceError
from onnxlet_publishing.errors import UsageError

DEFAULT_REGISTRY = "https://registry.npmjs.org"


@dataclass(frozen=True)
class Package:
    """One version of a package."""

    name: str
    version: str
    sha512: str
    """The digest in base64, which the registry calls integrity."""

    def __str__(self) -> str:
        """Return the name and the version."""
        return f"{self.name}-{self.version}"

    def url(self) -> str:
        """Return the URL in npm's registry, or in the one that `NPM_CONFIG_REGISTRY` names."""
        registry = os.environ.get("NPM_CONFIG_REGISTRY") or DEFAULT_REGISTRY
        return f"{registry.rstrip('/')}/{self.name}/-/{self}.tgz"


def fetch(package: Package, paths: Sequence[str]) -> list[bytes]:
    """Return files of a package by their paths in it.

    Raises:
        ServiceError: the registry does not send the package, or sends another one.
        UsageError: `NPM_CONFIG_REGISTRY` is not a URL.
    """
    data = _download(package.url())
    found = b64encode(hashlib.sha512(data).digest()).decode()
    if found != package.sha512:
        raise ServiceError(f"{package.url()}: expected SHA-512 {package.sha512}, got {found}")
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
        return [_read(archive, path) for path in paths]


def _download(url: str) -> bytes:
    if not url.startswith(("https://", "http://")):
        raise UsageError(f"NPM_CONFIG_REGISTRY: expected a URL of http, got {url}")
    response = http_client.send(url, follows_redirects=True)  # to the registry's storage; the SHA-512 is checked
    if response.status != 200:
        raise ServiceError(f"{url}: expected the status 200, got {response.status}", url=url, status=response.status)
    return response.body


def _read(archive: tarfile.TarFile, path: str) -> bytes:
    file = archive.extractfile(f"package/{path}")
    assert file is not None, "its SHA-512 says that it is there"
    return file.read()
