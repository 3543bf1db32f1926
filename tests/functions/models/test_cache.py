import ctypes
import subprocess
import sys
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from onnxlet import session
from onnxlet.contract.manifest import Manifest
from onnxlet.errors import MemoryBoundError, ModelNotFoundError, UntrustedModelError
from onnxlet.limits import MIB, memory
from onnxlet.models.cache import Models
from onnxlet.registry.registry import Registry
from onnxlet.storage import open_store
from onnxlet_publishing.publish import publish
from tests.helpers import graphs, keys

C_LIBRARY = ctypes.CDLL(None)
C_LIBRARY.malloc.restype = ctypes.c_void_p
C_LIBRARY.malloc.argtypes = [ctypes.c_size_t]
C_LIBRARY.free.argtypes = [ctypes.c_void_p]
BLOCK_BYTES, BLOCKS = 100_000, 640
"""Small enough that the C library takes them from what it holds, and does not map each."""


@pytest.fixture
def registry() -> Registry:
    return Registry(open_store(f"memory://{uuid.uuid4()}"))


def publish_some(registry: Registry, count: int) -> list[Manifest]:
    return [publish(registry, graphs.digits_candidate(seed, f"digits-{seed}")) for seed in range(count)]


def test_a_version_is_loaded_once_whatever_names_it(registry: Registry) -> None:
    manifest = publish(registry, graphs.digits_candidate())
    models = Models(registry, threads=1)
    assert models.get(manifest) is models.get(registry.resolve("digits")) is models.get_version("digits", 1)


def test_many_who_ask_at_once_get_one_model(registry: Registry) -> None:
    manifest = publish(registry, graphs.digits_candidate())
    models, start = Models(registry, threads=1), threading.Barrier(16)

    def ask(_index: int) -> object:
        start.wait()
        return models.get(manifest)

    with ThreadPoolExecutor(16) as pool:
        assert len({id(model) for model in pool.map(ask, range(16))}) == 1


def test_a_loaded_model_needs_no_store(tmp_path: Path) -> None:
    registry = Registry(open_store(tmp_path.as_uri()))
    publish(registry, graphs.digits_candidate())
    models = Models(registry, threads=1)
    model = models.get_version("digits", 1)
    for path in tmp_path.rglob("*"):
        if path.is_file():
            path.unlink()
    assert models.get_version("digits", 1) is model


def test_a_version_that_is_not_there_is_named(registry: Registry) -> None:
    publish(registry, graphs.digits_candidate())
    with pytest.raises(ModelNotFoundError, match="no version 2; it has the versions 1"):
        Models(registry, threads=1).get_version("digits", 2)


@pytest.mark.skipif(not hasattr(C_LIBRARY, "malloc_trim"), reason="a C library other than GNU's")
def test_with_a_model_that_is_let_go_freed_memory_goes_back(registry: Registry) -> None:
    """The C library keeps what is freed below something that is not: every live update would leave a hole."""
    models = Models(registry, threads=1)
    (manifest,) = publish_some(registry, 1)
    models.get(manifest)
    *blocks, last = [C_LIBRARY.malloc(BLOCK_BYTES) for _ in range(BLOCKS)]
    for block in (*blocks, last):
        ctypes.memset(block, 1, BLOCK_BYTES)
    for block in blocks:
        C_LIBRARY.free(block)
    before_bytes = memory.resident_bytes()
    models.discard(manifest)
    assert before_bytes - memory.resident_bytes() > BLOCKS * BLOCK_BYTES / 2
    C_LIBRARY.free(last)


class TestBound:
    def test_the_least_recently_used_go_first(self, registry: Registry) -> None:
        first, second, third = publish_some(registry, 3)
        size_bytes = sum(artifact.size_bytes for artifact in first.best(runtime=session.runtime()))
        models = Models(registry, threads=1, bound_bytes=100 * MIB)
        kept = models.get(first)
        models.get(second)
        models.get(first)
        assert [loaded.model.manifest for loaded in models.loaded()] == [second, first]
        assert all(loaded.size_bytes >= size_bytes for loaded in models.loaded())
        models._unload_until(models.loaded()[1].size_bytes)
        assert [loaded.model for loaded in models.loaded()] == [kept]
        models.get(third)

    def test_a_bound_that_holds_one_still_answers_all(self, registry: Registry) -> None:
        manifests = publish_some(registry, 5)
        models = Models(
            registry, threads=1, bound_bytes=sum(artifact.size_bytes for artifact in manifests[0].artifacts)
        )
        for manifest in manifests * 2:
            assert models.get(manifest).manifest == manifest
            assert len(models.loaded()) == 1

    def test_a_model_larger_than_the_bound_is_refused_and_the_others_stay(self, registry: Registry) -> None:
        small = publish(registry, graphs.candidate("small", graphs.two_inputs()))
        large = publish(registry, graphs.digits_candidate())
        models = Models(registry, threads=1, bound_bytes=10_000)
        kept = models.get(small)
        with pytest.raises(MemoryBoundError, match="ONNXLET_MEMORY_MIB"):
            models.get(large)
        assert models.get(small) is kept


def test_a_function_without_keys_never_imports_what_checks_signatures() -> None:
    """Which would cost each of its cold starts."""
    script = (
        "import sys, uuid; from onnxlet.models.cache import Models; from onnxlet.registry.registry import Registry;"
        "from onnxlet.storage import open_store; Models(Registry(open_store('memory://x')), 1);"
        "assert not {name for name in sys.modules if 'ed25519' in name or name.endswith('signature')}"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_what_was_expected_of_a_version_that_is_not_trusted_is_given_up(registry: Registry) -> None:
    manifest = publish(registry, graphs.digits_candidate())
    for artifact in manifest.best(runtime=session.runtime()):
        registry.artifacts.begin(artifact.blob)
    with pytest.raises(UntrustedModelError):
        Models(registry, threads=1, public_keys=[keys.public_key(1)]).get(manifest)
    assert not registry.artifacts._fetches
