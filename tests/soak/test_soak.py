import mmap
import os
import zlib
from pathlib import Path
from statistics import median

import numpy as np
import pytest

from tests.soak import memory
from tests.soak.catalogue import DIGITS, SHORT, Ledger
from tests.soak.clients import require_loopback
from tests.soak.drive import MAX_CLIENTS, MAX_SECONDS, Plan, drive
from tests.soak.histogram import Histogram
from tests.soak.memory import Sample
from tests.soak.questions import Question, content, is_same, problem
from tests.soak.report import problems, to_document

MIB = 1024 * 1024


@pytest.mark.parametrize("cloud", ["gcp", "aws"])
def test_models_change_under_many_clients_and_every_answer_is_due(cloud: str, tmp_path: Path) -> None:
    plan = Plan(cloud, seconds=120, clients=16, update_s=0.15, size=SHORT, refresh_s=0, changes=30)
    outcome = drive(plan, tmp_path)
    assert problems(outcome) == []
    assert outcome.tally.failed == 0
    assert set(outcome.updates) == {"publish", "canary", "more_canary", "promote", "shadow", "rollback", "damage"}
    assert sum(outcome.updates.values()) == plan.changes
    assert outcome.samples, "the memory was looked at"
    assert outcome.canaries > 0
    versions = [version for name, version in outcome.tally.versions if name == DIGITS]
    assert len(versions) >= 3, "the clients must have seen some of the changes"
    document = to_document(outcome)
    assert document["requests"] == document["latencies_ms"]["all"]["count"] > 50
    assert {"200"} < set(document["statuses"]) <= {"200", "400", "404", "405", "422"}


def headers(version: int = 1) -> dict[str, str]:
    return {"onnxlet-model": "m", "onnxlet-version": str(version), "content-type": "application/json"}


class TestProblem:
    QUESTION = Question("test", 1, "GET", "/", model="m", answers=({"y": [1.0]}, {"y": [2.0]}))

    @pytest.fixture
    def ledger(self) -> Ledger:
        ledger = Ledger()
        ledger.allow("m", 1, 0)
        ledger.allow("m", 3, 1)
        return ledger

    @pytest.mark.parametrize(("version", "body"), [(1, b'{"y": [1.0], "version": 1}'), (3, b'{"y": [2.00001]}')])
    def test_a_due_answer_is_none(self, ledger: Ledger, version: int, body: bytes) -> None:
        assert problem(self.QUESTION, None, 200, headers(version), body, ledger) is None

    @pytest.mark.parametrize(
        ("pinned", "status", "version", "body", "said"),
        [
            (None, 503, 1, b"busy", "status 503 and not 200: busy"),
            (None, 200, 2, b'{"y": [1.0]}', "version 2, which was never live"),
            (None, 200, 3, b'{"y": [1.0]}', "another answer than that of edition 1"),
            (None, 200, 1, b'{"y": [1.0, 1.0]}', "another answer than that of edition 0"),
            (3, 200, 1, b'{"y": [1.0]}', "answered by m version 1, asked was m 3"),
        ],
        ids=["status", "version", "values", "length", "pinned"],
    )
    def test_any_other_is_told(
        self, ledger: Ledger, pinned: int | None, status: int, version: int, body: bytes, said: str
    ) -> None:
        assert said in str(problem(self.QUESTION, pinned, status, headers(version), body, ledger))


def test_a_compressed_answer_is_read_as_it_was() -> None:
    compressor = zlib.compressobj(wbits=31)
    body = compressor.compress(b'{"y": 1, "version": 2}') + compressor.flush()
    assert content({"content-type": "application/json", "content-encoding": "gzip"}, body) == {"y": 1}


def test_the_numbers_of_a_binary_answer_are_compared() -> None:
    head = b'{"outputs": []}'
    told = {"inference-header-content-length": str(len(head))}
    one, other = (content(told, head + np.full(3, value, np.float32).tobytes()) for value in (1, 2))
    assert is_same(one, one)
    assert not is_same(one, other)


class TestBounds:
    @pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://localhost:1", "http://[::1]:1"])
    def test_this_machine_is_loaded(self, url: str) -> None:
        assert require_loopback(url)

    @pytest.mark.parametrize("url", ["http://10.0.0.1:80", "https://example.com", "http://localhost.example.com", "x"])
    def test_no_other_is(self, url: str) -> None:
        with pytest.raises(ValueError, match="loopback"):
            require_loopback(url)

    @pytest.mark.parametrize(("seconds", "clients"), [(MAX_SECONDS + 1, 1), (0, 1), (1, MAX_CLIENTS + 1), (1, 0)])
    def test_a_plan_has_bounds(self, seconds: float, clients: int) -> None:
        with pytest.raises(ValueError, match="expected up to"):
            Plan("gcp", seconds, clients, 5, SHORT)


def test_a_histogram_has_the_percentiles_within_two_percent() -> None:
    seconds = np.random.default_rng(0).lognormal(-5, 1, 10_000)
    one, other = Histogram(), Histogram()
    for index, each in enumerate(seconds):
        (one if index % 2 else other).add(each)
    one.merge(other)
    assert one.count == len(seconds)
    for percent in (50, 99, 99.9):
        exact = np.percentile(seconds, percent)
        assert exact * 0.98 <= one.percentile(percent) <= exact * 1.03


class TestMemory:
    def samples(self, seconds: int, per_s: int) -> list[Sample]:
        return [Sample(float(at), 100 * MIB + at * per_s, 50 * MIB) for at in range(seconds)]

    def test_growth_is_that_since_the_first_minute(self) -> None:
        assert memory.growth(self.samples(600, 0), lambda sample: sample.rss_bytes) == 1
        grown = memory.growth(self.samples(600, MIB), lambda sample: sample.rss_bytes)
        assert grown == pytest.approx((100 + median(range(570, 600))) / (100 + median(range(60, 90))))

    def test_of_a_short_run_nothing_is_said(self) -> None:
        assert memory.growth(self.samples(100, MIB), lambda sample: sample.rss_bytes) is None
        assert memory.growth([], lambda sample: sample.rss_bytes) is None

    def test_what_is_taken_is_seen(self) -> None:
        with mmap.mmap(-1, 32 * MIB) as taken:  # not from the heap, which may have room
            before = memory.read(os.getpid())
            taken.write(b"1" * len(taken))
            after = memory.read(os.getpid())
            assert after.uss_bytes - before.uss_bytes > 0.9 * len(taken)
        assert after.rss_bytes >= after.uss_bytes
