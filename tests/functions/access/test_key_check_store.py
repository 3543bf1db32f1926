"""API keys while their document changes, and while the store does not answer."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from onnxlet.access.key_check import MAX_REFRESH_S, MAX_STALE_S, ApiKeys
from onnxlet.contract import api_keys
from onnxlet.errors import StoreError, UnauthenticatedError
from onnxlet.limits import deadline
from onnxlet.record import replace
from onnxlet.storage import Revision, Store, Stored, open_store
from onnxlet.storage.connection import StorageSettings
from onnxlet.web.app import App
from tests.helpers.key_owner import Owner, ask, bearer, code


class TestChanges:
    def test_keys_come_and_go_without_a_redeploy(self, app: App, owner: Owner) -> None:
        first = owner.create()
        assert code(app, bearer(first)) is None
        second = owner.create()
        owner.revoke(first)
        assert (code(app, bearer(first)), code(app, bearer(second))) == ("unauthenticated", None)

    def test_the_document_is_asked_for_no_more_often_than_said(self, app: App, owner: Owner) -> None:
        text = owner.create()
        slow = App(replace(app.settings, refresh_s=1000), lambda _line: None)
        assert code(slow, bearer(text)) is None
        owner.revoke(text)
        assert code(slow, bearer(text)) is None
        assert slow.service.api_keys is not None
        assert slow.service.api_keys._refresh_s == MAX_REFRESH_S, "a pinned alias does not pin keys"
        slow.service.reopen()
        assert code(slow, bearer(text)) == "unauthenticated", "a snapshot knows nothing of now"

    def test_no_document_or_one_that_is_gone_lets_nobody_in(self, app: App, owner: Owner) -> None:
        text = owner.create()
        assert code(app, bearer(text)) is None
        owner.remove()
        assert code(app, bearer(text)) == "unauthenticated"
        owner.write(owner.keys.to_json())
        assert code(app, bearer(text)) is None

    @pytest.mark.parametrize("data", [b"", b"{", b'{"schema": 2, "keys": []}', b'{"schema": 1, "keys": [{}]}'])
    def test_a_document_that_cannot_be_read_lets_nobody_in_who_was_not_before(
        self, app: App, owner: Owner, data: bytes, caplog: pytest.LogCaptureFixture
    ) -> None:
        text = owner.create()
        assert code(app, bearer(text)) is None
        owner.write(data)
        assert code(app, bearer(text)) is None
        assert "the API keys were not read: access/keys.json" in caplog.text
        status, answer = ask(App(app.settings, lambda _line: None), "/v2", bearer(text))
        assert (status, answer["code"]) == (503, "store_unavailable")
        assert owner.store.url not in answer["error"]
        assert "keys.json" not in answer["error"]


class TestStoreThatIsDown:
    """It is down as long as it has no such endpoint."""

    @pytest.fixture
    def stores(self, owner: Owner) -> list[Store]:
        return [owner.store]

    @pytest.fixture
    def down(self) -> Store:
        return open_store("s3://bucket", StorageSettings(s3_endpoint="http://127.0.0.1:9"))

    def test_those_who_were_let_in_are_for_an_hour(
        self, owner: Owner, stores: list[Store], down: Store, caplog: pytest.LogCaptureFixture
    ) -> None:
        text = owner.create()
        keys = ApiKeys(lambda: stores[0], lambda: stores[0], 0)
        headers = bearer(text)
        assert keys.admit(headers).name == "Ada"
        stores[0] = down
        assert keys.admit(headers).name == "Ada"
        assert "the API keys were not read: s3://bucket/access/keys.json" in caplog.text
        keys._read_at_s -= MAX_STALE_S
        with pytest.raises(StoreError, match="API keys cannot be read right now"):
            keys.admit(headers)
        stores[0] = owner.store
        keys._read_again_at_s = 0  # a second later
        assert keys.admit(headers).name == "Ada"

    def test_nobody_is_at_first_and_strangers_do_not_ask_the_store_again_and_again(self, down: Store) -> None:
        asked: list[int] = []

        def opened() -> Store:
            asked.append(1)
            return down

        keys = ApiKeys(opened, opened, 0)
        for _ in range(20):
            with pytest.raises(StoreError):
                keys.admit(bearer(api_keys.generate()[1]))
        assert len(asked) == 1
        with pytest.raises(UnauthenticatedError):
            keys.admit(bearer("onnxlet_short"))

    def test_requests_that_come_at_once_ask_once(self, owner: Owner) -> None:
        text = owner.create()
        asked: list[int] = []
        barrier = threading.Barrier(8)

        def opened() -> Store:
            asked.append(1)
            return owner.store

        keys = ApiKeys(opened, opened, 60)

        def admit(_thread: int) -> str:
            barrier.wait()
            return keys.admit(bearer(text)).name

        with ThreadPoolExecutor(8) as pool:
            assert set(pool.map(admit, range(8))) == {"Ada"}
        assert len(asked) == 1


class StallingStore(Store):
    """A store that reads nothing again until it may."""

    def __init__(self, store: Store) -> None:
        super().__init__(store.url, store.backend)
        self.asked, self.goes_on = threading.Event(), threading.Event()

    @deadline.bounded
    def read_if_changed(self, key: str, revision: Revision) -> Stored | None:
        self.asked.set()
        assert self.goes_on.wait(60)
        return super().read_if_changed(key, revision)


class TestStoreThatStalls:
    """It takes a question and says nothing."""

    @pytest.fixture
    def store(self, owner: Owner) -> StallingStore:
        return StallingStore(owner.store)

    def test_whoever_asks_it_is_let_in_with_half_of_the_time_left(self, owner: Owner, store: StallingStore) -> None:
        headers = bearer(owner.create())
        keys = ApiKeys(lambda: store, lambda: store, 0)
        assert keys.admit(headers).name == "Ada"
        with deadline.within(1):
            assert keys.admit(headers).name == "Ada"
            assert store.asked.is_set()
            assert deadline.remaining_s() > 0
        store.goes_on.set()

    def test_the_others_do_not_wait(self, owner: Owner, store: StallingStore) -> None:
        headers = bearer(owner.create())
        keys = ApiKeys(lambda: store, lambda: store, 0)
        keys.admit(headers)
        admitted: list[str] = []

        def admit() -> None:
            admitted.append(keys.admit(headers).name)

        threads = [threading.Thread(target=admit, daemon=True) for _ in range(5)]
        threads[0].start()
        assert store.asked.wait(60)
        for thread in threads[1:]:
            thread.start()
        for thread in threads[1:]:
            thread.join(30)
        assert admitted == ["Ada"] * 4, "the first one still waits for the store"
        store.goes_on.set()
        threads[0].join(60)
        assert len(admitted) == 5
