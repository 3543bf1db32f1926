import threading
import time
from types import ModuleType

import pytest

from onnxlet.contract.tensors import DATATYPES, Tensor
from onnxlet.errors import DeadlineError
from onnxlet.limits import deadline
from onnxlet.session import native, python
from tests.helpers import graphs

LONG = 10**12


def count_to(number: int) -> Tensor:
    return Tensor(DATATYPES["INT64"], (), memoryview(number.to_bytes(8, "little")))


@pytest.fixture(params=[native, python], ids=lambda engine: engine.__name__.rpartition(".")[2])
def engine(request: pytest.FixtureRequest) -> ModuleType:
    found: ModuleType = request.param
    return found


def test_a_run_is_ended_at_the_deadline_and_the_session_runs_again(engine: ModuleType) -> None:
    session = engine.Session(graphs.loop().SerializeToString())
    started_s = time.monotonic()
    with deadline.within(0.3), pytest.raises(DeadlineError):
        session.run({"n": count_to(LONG)}, ["total"])
    assert 0.2 < time.monotonic() - started_s < 20
    with deadline.within(60):
        (total,) = session.run({"n": count_to(7)}, ["total"])
    assert bytes(total.buffer) == bytes(count_to(7).buffer)


def test_runs_of_several_threads_end_each_at_its_own_deadline(engine: ModuleType) -> None:
    session = engine.Session(graphs.loop().SerializeToString())
    ended: list[float] = []

    def run(seconds: float) -> None:
        with deadline.within(seconds), pytest.raises(DeadlineError):
            session.run({"n": count_to(LONG)}, ["total"])
        ended.append(seconds)

    threads = [threading.Thread(target=run, args=(seconds,)) for seconds in (3.0, 1.5, 0.2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert ended == [0.2, 1.5, 3.0]


def test_nothing_begins_when_the_time_is_over(engine: ModuleType) -> None:
    session = engine.Session(graphs.loop().SerializeToString())
    with deadline.within(0), pytest.raises(DeadlineError):
        session.run({"n": count_to(0)}, ["total"])
