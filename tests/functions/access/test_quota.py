import multiprocessing
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from onnxlet.access.quota import MAX_BLOCKS, PREFIX, Quotas
from onnxlet.contract.api_keys import Key
from onnxlet.errors import DeadlineError, QuotaExceededError, StoreError
from onnxlet.limits import deadline
from onnxlet.storage import Store, open_store
from onnxlet.storage.connection import StorageSettings
from tests.helpers import forked

forked.preload(__name__)

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC).timestamp()


def key(quota: int | None, key_id: str = "0123456789ab") -> Key:
    return Key(key_id, "Ada", "0" * 64, datetime.now(UTC), quota=quota)


def quotas(store: Store) -> Quotas:
    return Quotas(lambda: store, lambda: NOON)


def spend_all(counted: Quotas, of: Key) -> int:
    """Spend until nothing is left; how many requests that were."""
    for spent in range(10**6):
        try:
            counted.spend(of)
        except QuotaExceededError:
            return spent
    raise AssertionError("without an end")


@pytest.mark.parametrize("quota", [1, 7, 30])
def test_as_many_requests_are_let_in_as_the_quota_says(root: str, storage: StorageSettings, quota: int) -> None:
    store = open_store(root, storage, create=True)
    counted = quotas(store)
    assert spend_all(counted, key(quota)) == quota
    assert spend_all(counted, key(quota)) == spend_all(quotas(store), key(quota)) == 0


def blocks(store: Store, day: str = "2026-07-01") -> int:
    """How many blocks of a day are taken."""
    return len(store.children(f"{PREFIX}/0123456789ab/{day}"))


def test_the_blocks_together_are_the_quota() -> None:
    store = open_store("memory://together")
    for block in (*range(6), *range(8, MAX_BLOCKS - 1)):  # all but 6, 7 and the last
        store.put_if_absent(f"{PREFIX}/0123456789ab/2026-07-01/{block}", b"{}")
    assert spend_all(quotas(store), key(MAX_BLOCKS + 7)) == 2 + 1 + 1
    assert blocks(store) == MAX_BLOCKS


def test_a_block_is_asked_for_once_and_not_for_each_request() -> None:
    store = open_store("memory://blocks")
    counted = quotas(store)
    for _ in range(100):
        counted.spend(key(100 * MAX_BLOCKS))
    assert blocks(store) == 1


def test_each_day_of_utc_has_its_own(tmp_path: Path) -> None:
    store, now = open_store(tmp_path.as_uri()), [NOON]
    counted = Quotas(lambda: store, lambda: now[0])
    assert spend_all(counted, key(3)) == 3
    with pytest.raises(QuotaExceededError, match=r"all 3 requests of 2026-07-01 \(UTC\) are used") as caught:
        counted.spend(key(3))
    wait_s = int(caught.value.headers["retry-after"])
    assert 0 <= wait_s - 12 * 3600 <= 1
    now[0] += wait_s
    assert spend_all(counted, key(3)) == 3


def test_what_was_left_of_a_day_is_not_spent_on_the_next(tmp_path: Path) -> None:
    store, now = open_store(tmp_path.as_uri()), [NOON]
    counted = Quotas(lambda: store, lambda: now[0])
    counted.spend(key(2 * MAX_BLOCKS))
    now[0] += 24 * 3600
    counted.spend(key(2 * MAX_BLOCKS))
    assert (blocks(store), blocks(store, "2026-07-02")) == (1, 1)


def test_keys_have_their_own_and_one_without_a_quota_asks_nobody() -> None:
    store = open_store("memory://own")
    counted = quotas(store)
    assert spend_all(counted, key(2)) == 2
    assert spend_all(counted, key(2, "ba9876543210")) == 2
    nowhere = quotas(open_store("s3://bucket", StorageSettings(s3_endpoint="http://127.0.0.1:9")))
    nowhere.spend(key(None))


def test_a_store_that_does_not_answer_lets_nothing_in_beyond_what_was_taken(tmp_path: Path) -> None:
    stores = [open_store(tmp_path.as_uri())]
    counted = Quotas(lambda: stores[0], lambda: NOON)
    counted.spend(key(3 * MAX_BLOCKS))
    stores[0] = open_store("s3://bucket", StorageSettings(s3_endpoint="http://127.0.0.1:9"))
    counted.spend(key(3 * MAX_BLOCKS))
    counted.spend(key(3 * MAX_BLOCKS))
    with pytest.raises(StoreError):
        counted.spend(key(3 * MAX_BLOCKS))
    stores[0] = open_store(tmp_path.as_uri())
    counted.spend(key(3 * MAX_BLOCKS))


def test_after_a_restore_nothing_is_spent_that_others_may_have_too(tmp_path: Path) -> None:
    store = open_store(tmp_path.as_uri())
    counted = quotas(store)
    counted.spend(key(2 * MAX_BLOCKS))
    counted.forget()
    counted.spend(key(2 * MAX_BLOCKS))
    assert blocks(store) == 2


def spend_in_process(root: str, storage: StorageSettings, quota: int, spent: "multiprocessing.Queue[int]") -> None:
    """Eight threads that share one instance's part, until nothing is left."""
    counted = quotas(open_store(root, storage, create=True))
    barrier = threading.Barrier(8)

    def spend(_thread: int) -> int:
        barrier.wait()
        found = 0
        with suppress(QuotaExceededError):
            while True:
                counted.spend(key(quota))
                found += 1
        return found

    with ThreadPoolExecutor(8) as pool:
        spent.put(sum(pool.map(spend, range(8))))


def test_threads_and_processes_together_get_exactly_the_quota(shared_root: str, storage: StorageSettings) -> None:
    quota, processes = 40, 2
    spent: multiprocessing.Queue[int] = forked.context.Queue()
    open_store(shared_root, storage, create=True)
    started = [forked.process(spend_in_process, shared_root, storage, quota, spent) for _ in range(processes)]
    for process in started:
        process.start()
    found = [spent.get(timeout=60) for _ in started]
    for process in started:
        process.join()
    assert sum(found) == quota, found


def test_a_request_that_costs_more_takes_all_of_it_or_nothing(root: str, storage: StorageSettings) -> None:
    counted = quotas(open_store(root, storage, create=True))
    counted.spend(key(10), 4)
    counted.spend(key(10), 0)
    with pytest.raises(QuotaExceededError, match="counts as 7 more, but only 6 are left of 2026-07-01"):
        counted.spend(key(10), 7)
    counted.spend(key(10), 6)
    with pytest.raises(QuotaExceededError, match="all 10 requests of 2026-07-01"):
        counted.spend(key(10))


def test_a_request_that_costs_more_than_a_whole_day_takes_no_block() -> None:
    store = open_store("memory://whole-day")
    with pytest.raises(QuotaExceededError, match="counts as 31 more, but only 0 are left"):
        quotas(store).spend(key(30), 31)
    assert blocks(store) == 0


class CountingStore(Store):
    """A store that counts its listings."""

    listings = 0

    def children(self, prefix: str) -> list[str]:
        self.listings += 1
        return super().children(prefix)


def test_a_small_quota_is_not_listed_for_each_request() -> None:
    store = CountingStore("memory://listings", open_store("memory://listings").backend)
    first, second = quotas(store), quotas(store)
    for _ in range(10):
        first.spend(key(30))
    assert store.listings == 0
    assert spend_all(second, key(30)) == 20
    assert store.listings <= 11, "once for each block that the other has found first, and then it is known"
    assert spend_all(first, key(30)) == spend_all(second, key(30)) == 0


class StallingStore(Store):
    """A store that takes nothing in until it may."""

    def __init__(self, store: Store) -> None:
        super().__init__(store.url, store.backend)
        self.asked, self.goes_on = threading.Event(), threading.Event()

    @deadline.bounded
    def put_if_absent(self, key: str, data: bytes) -> None:
        self.asked.set()
        assert self.goes_on.wait(60)
        super().put_if_absent(key, data)


def test_while_the_store_stalls_nobody_waits_for_longer_than_there_is_time() -> None:
    store = open_store("memory://stalls")
    stores = [store]
    counted = Quotas(lambda: stores[0], lambda: NOON)
    counted.spend(key(3 * MAX_BLOCKS))
    stalling = StallingStore(store)
    stores[0] = stalling
    errors: list[BaseException | None] = []

    def spend(requests: int, seconds: float | None) -> threading.Thread:
        def run() -> None:
            try:
                with deadline.within(seconds):
                    counted.spend(key(3 * MAX_BLOCKS), requests)
            except DeadlineError as error:
                errors.append(error)
            else:
                errors.append(None)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        return thread

    first = spend(3, None)
    assert stalling.asked.wait(60)
    spend(2, 30).join(60)
    assert errors == [None], "two are left, and nobody waits for the block that the first one takes"
    spend(1, 0.2).join(60)
    assert [type(error) for error in errors] == [type(None), DeadlineError]
    stalling.goes_on.set()
    first.join(60)
    assert errors[2] is None
