"""The runtime: ONNX Runtime's build for browsers, from its npm package into the registry."""

import gzip
from collections.abc import Callable

from onnxlet.contract import layout
from onnxlet.errors import ObjectNotFoundError
from onnxlet.storage import Store, Stored
from onnxlet.web.edge import is_genuine
from onnxlet_cli.edge import npm

_NAME, _, _VERSION = layout.EDGE_RUNTIME.rpartition("-")
PACKAGE = npm.Package(
    _NAME,
    _VERSION,
    "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ==",
)
"""The package with the files of `layout.EDGE_FILES`, the only ones that are served to browsers."""

Files = dict[str, bytes]
"""The files of the runtime, each as gzip, by their names."""


def install(store: Store, fetch: Callable[[], Files] | None = None) -> Files:
    """Return the files of the runtime, and replace missing or altered ones in the registry by those of `fetch`.

    Raises:
        ServiceError: the package cannot be downloaded, or is not the published one.
        ConflictError: somebody else wrote one of the files at the same time.
        StoreError: the registry does not answer.
    """
    stored = {name: _read(store, name) for name in layout.EDGE_FILES}
    genuine = {name: found.data for name, found in stored.items() if found and is_genuine(name, found.data)}
    if len(genuine) == len(stored):
        return genuine
    for name, data in (fetch or fetch_files)().items():
        found = stored[name]
        if name not in genuine:
            store.replace(layout.edge_key(name), data, found.revision if found else None)
            genuine[name] = data
    return genuine


def forged(store: Store) -> list[str]:
    """Return the keys of the runtime's files that are in the registry and are not the published ones.

    Raises:
        StoreError: the registry does not answer.
    """
    found = {name: _read(store, name) for name in layout.EDGE_FILES}
    return [layout.edge_key(name) for name, file in found.items() if file and not is_genuine(name, file.data)]


def is_installed(store: Store) -> bool:
    """Return whether the registry has all files of the runtime; `forged` checks their contents."""
    return all(_read(store, name) for name in layout.EDGE_FILES)


def _read(store: Store, name: str) -> Stored | None:
    try:
        return store.read(layout.edge_key(name))
    except ObjectNotFoundError:
        return None


def fetch_files() -> Files:
    """Return the files of the package; raises as `npm.fetch`."""
    found = npm.fetch(PACKAGE, [f"dist/{name}" for name in layout.EDGE_FILES])
    return {name: gzip.compress(data, mtime=0) for name, data in zip(layout.EDGE_FILES, found, strict=True)}
