"""The runtime: ONNX Runtime's build for browsers, from its npm package into the registry."""

import gzip
import hashlib
import io
import os
import tarfile
import urllib.request
from base64 import b64encode
from collections.abc import Callable

from onnxlet.contract import layout
from onnxlet.errors import ArtifactError, ConflictError, ObjectNotFoundError, StoreError
from onnxlet.store import Store

INTEGRITY = "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
"""The SHA-512 of the package, as its registry states it: nothing else is ever served to a browser."""

DEFAULT_INDEX = "https://registry.npmjs.org"
TIMEOUT_S = 60

Fetch = Callable[[], bytes]
"""Gives the package's bytes."""


def fetch() -> bytes:
    """The npm package, from npm's registry or the one that `NPM_CONFIG_REGISTRY` names.

    Raises:
        StoreError: it cannot be had.
    """
    name, _, version = layout.EDGE_RUNTIME.rpartition("-")
    index = os.environ.get("NPM_CONFIG_REGISTRY", DEFAULT_INDEX).rstrip("/")
    url = f"{index}/{name}/-/{name}-{version}.tgz"
    if not url.startswith(("https://", "http://")):
        raise StoreError(f"NPM_CONFIG_REGISTRY: expected a URL of http, got {index}")
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as reply:  # noqa: S310 - looked at above
            data: bytes = reply.read()
    except OSError as error:
        raise StoreError(f"{url}: {layout.EDGE_RUNTIME} cannot be fetched: {error}") from error
    return data


def install(store: Store, fetch: Fetch = fetch) -> dict[str, bytes]:
    """The files of the runtime, as gzip, by their names; they are put into a registry that has not all of them.

    Args:
        store: The registry's root.
        fetch: Where the package comes from, if it is needed.

    Raises:
        ArtifactError: the package is not the published one.
        StoreError: it cannot be had, or the registry does not answer.
    """
    files = installed(store)
    if files is None:
        files = extract(fetch())
        for name, data in files.items():
            try:
                store.put_if_absent(layout.edge_key(name), data)
            except ConflictError as error:
                raise ArtifactError(f"{layout.edge_key(name)}: is not of {layout.EDGE_RUNTIME}; remove it") from error
    return files


def installed(store: Store) -> dict[str, bytes] | None:
    """The files of the runtime, as gzip, by their names; None where the registry has not all of them."""
    try:
        return {name: store.read(layout.edge_key(name)).data for name in layout.EDGE_FILES}
    except ObjectNotFoundError:
        return None


def extract(package: bytes) -> dict[str, bytes]:
    """The files of a package, each as gzip.

    Raises:
        ArtifactError: the package is not the published one.
    """
    found = b64encode(hashlib.sha512(package).digest()).decode()
    if found != INTEGRITY:
        raise ArtifactError(f"{layout.EDGE_RUNTIME}: expected a package with SHA-512 {INTEGRITY}, got {found}")
    files = {}
    with tarfile.open(fileobj=io.BytesIO(package), mode="r:gz") as archive:
        for name in layout.EDGE_FILES:
            file = archive.extractfile(f"package/dist/{name}")
            assert file is not None, "its SHA-512 says that it is there"
            files[name] = gzip.compress(file.read(), mtime=0)
    return files
