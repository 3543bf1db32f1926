import hashlib
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from onnxlet.errors import SettingsError
from onnxlet.models.cache import Models
from onnxlet.registry.artifacts import Artifacts
from onnxlet.registry.registry import Registry
from onnxlet.storage import open_store
from onnxlet.storage.disk_cache import DiskCache
from onnxlet_publishing.publish import publish
from tests.helpers import graphs


def add(cache: DiskCache, data: bytes) -> str:
    sha256 = hashlib.sha256(data).hexdigest()
    cache.add(sha256, data)
    return sha256


def read(cache: DiskCache, sha256: str) -> bytes | None:
    found = cache.read(sha256)
    return None if found is None else bytes(found)


def test_what_was_added_is_found_again(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path / "cache", 1000)
    sha256 = add(cache, b"graph")
    assert read(cache, sha256) == b"graph"
    assert read(DiskCache(tmp_path / "cache", 1000), sha256) == b"graph"
    assert read(cache, "0" * 64) is None


def test_damaged_bytes_are_never_given_and_go(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path / "cache", 1000)
    sha256 = add(cache, b"graph")
    (tmp_path / "cache" / sha256).write_bytes(b"grapf")
    assert read(cache, sha256) is None
    assert list((tmp_path / "cache").iterdir()) == []


def test_the_least_recently_used_go_first(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path / "cache", 10)
    first, second = add(cache, b"1111"), add(cache, b"2222")
    os.utime(tmp_path / "cache" / first, (1, 1))
    os.utime(tmp_path / "cache" / second, (2, 2))
    assert read(cache, first) == b"1111"
    third = add(cache, b"3333")
    assert [read(cache, sha256) for sha256 in (first, second, third)] == [b"1111", None, b"3333"]


def test_what_is_larger_than_the_cache_removes_nothing(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path / "cache", 10)
    small = add(cache, b"1111")
    large = add(cache, b"2" * 11)
    assert (read(cache, small), read(cache, large)) == (b"1111", None)


@pytest.mark.parametrize("mode", [0o755, 0o770])
def test_a_folder_that_others_reach_is_refused(tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "cache"
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(SettingsError, match="mode 700"):
        DiskCache(folder, 10)


def test_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "cache").symlink_to(tmp_path / "real")
    with pytest.raises(SettingsError):
        DiskCache(tmp_path / "cache", 10)


def test_a_disk_that_cannot_be_written_costs_the_cache_alone(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path / "cache", 1000)
    (tmp_path / "cache").rmdir()
    assert read(cache, add(cache, b"graph")) is None


WRITER = """
import hashlib, sys
from pathlib import Path
from onnxlet.storage.disk_cache import DiskCache
cache = DiskCache(Path(sys.argv[1]), 300_000)
for number in range(200):
    data = bytes([number % 7]) * 100_000
    sha256 = hashlib.sha256(data).hexdigest()
    found = cache.read(sha256)
    if found is None:
        cache.add(sha256, data)
    else:
        assert found == data
"""


def test_several_processes_share_it(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITER, str(tmp_path / "cache")]
    writers = [subprocess.Popen(command) for _ in range(4)]
    assert [writer.wait() for writer in writers] == [0] * 4
    for path in (tmp_path / "cache").iterdir():
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name


def test_a_writer_that_is_killed_leaves_nothing_that_is_given(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITER, str(tmp_path / "cache")]
    for delay_s in (0.12, 0.15, 0.2):
        writer = subprocess.Popen(command)
        time.sleep(delay_s)
        writer.kill()
        writer.wait()
    for path in DiskCache(tmp_path / "cache", 300_000)._folder.iterdir():
        is_whole = len(path.name) != 64 or hashlib.sha256(path.read_bytes()).hexdigest() == path.name
        assert is_whole, path


def test_models_that_come_back_are_loaded_from_it(tmp_path: Path) -> None:
    store = open_store((tmp_path / "store").as_uri(), create=True)
    registry = Registry(store, Artifacts(store, DiskCache(tmp_path / "cache", 10**6)))
    manifests = [publish(registry, graphs.digits_candidate(seed, f"m{seed}")) for seed in range(3)]
    models = Models(registry, threads=1, bound_bytes=sum(each.size_bytes for each in manifests[0].artifacts))
    first = [models.get(manifest) for manifest in manifests]
    for blob in (tmp_path / "store" / "blobs" / "sha256").iterdir():
        blob.unlink()
    with ThreadPoolExecutor(4) as pool:
        again = list(pool.map(models.get, manifests))
    assert [model.manifest for model in again] == manifests
    assert again[0] is not first[0]
