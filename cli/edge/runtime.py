"""The runtime: ONNX Runtime's build for browsers, from its npm package into the registry."""

import gzip
from collections.abc import Callable

from cli.edge import npm
from onnxlet.contract import layout
from onnxlet.errors import ArtifactError, ConflictError, ObjectNotFoundError
from onnxlet.store import Store

_NAME, _, _VERSION = layout.EDGE_RUNTIME.rpartition("-")
PACKAGE = npm.Package(
    _NAME,
    _VERSION,
    "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ==",
)
"""Nothing else is ever served to a browser."""

Files = dict[str, bytes]
"""The files of the runtime, each as gzip, by their names."""


def install(store: Store, fetch: Callable[[], Files] | None = None) -> Files:
    """The files of the runtime; they are put into a registry that has not all of them.

    Args:
        store: The registry's root.
        fetch: Where they come from, if they are needed; by default from the package.

    Raises:
        ArtifactError: the package is not the published one, or the registry has other files in their places.
        StoreError: it cannot be had, or the registry does not answer.
    """
    files = installed(store)
    if files is None:
        files = (fetch or fetch_files)()
        for name, data in files.items():
            try:
                store.put_if_absent(layout.edge_key(name), data)
            except ConflictError as error:
                raise ArtifactError(f"{layout.edge_key(name)}: is not of {layout.EDGE_RUNTIME}; remove it") from error
    return files


def installed(store: Store) -> Files | None:
    """The files of the runtime; None where the registry has not all of them."""
    try:
        return {name: store.read(layout.edge_key(name)).data for name in layout.EDGE_FILES}
    except ObjectNotFoundError:
        return None


def fetch_files() -> Files:
    """The files of the package; raises as `npm.fetch`."""
    found = npm.fetch(PACKAGE, [f"dist/{name}" for name in layout.EDGE_FILES])
    return {name: gzip.compress(data, mtime=0) for name, data in zip(layout.EDGE_FILES, found, strict=True)}
