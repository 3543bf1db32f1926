import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from onnxlet.errors import BusyError, DeadlineError, TooLargeError
from onnxlet.limits import MAX_REQUEST_PIXELS, MIB, deadline, memory
from onnxlet.limits.memory import MIN_SHARE, RESERVED_BYTES, Budget, Share
from onnxlet.settings import Settings

WAIT_S = 20
"""For another thread, which needs none of it."""


@pytest.fixture
def others() -> Iterator[Callable[[Callable[[], object]], threading.Thread]]:
    threads: list[threading.Thread] = []

    def start(work: Callable[[], object]) -> threading.Thread:
        threads.append(threading.Thread(target=work, daemon=True))
        threads[-1].start()
        return threads[-1]

    yield start
    for thread in threads:
        thread.join(WAIT_S)
        assert not thread.is_alive()


Start = Callable[[Callable[[], object]], threading.Thread]


class Holder:
    """Somebody else, who holds memory until told to end."""

    def __init__(self, budget: Budget, start: Start, size_bytes: int, *, is_step: bool) -> None:
        self.holds, self.may_end = threading.Event(), threading.Event()

        def hold() -> None:
            with budget.share() as share:
                if is_step:
                    with share.taken(size_bytes):
                        self._wait()
                else:
                    share.take(size_bytes)
                    self._wait()

        start(hold)
        assert self.holds.wait(WAIT_S)

    def _wait(self) -> None:
        self.holds.set()
        assert self.may_end.wait(WAIT_S)


class TestSize:
    def test_it_is_what_models_and_libraries_leave_of_a_lambda_functions_memory(self) -> None:
        settings = Settings.from_environment(
            {"ONNXLET_REGISTRY": "memory://x", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1769"}
        )
        assert (
            Budget.of(settings.function_bytes, settings.memory_bytes).size_bytes
            == 1769 * MIB - 1769 * MIB // 2 - RESERVED_BYTES
        )

    def test_it_follows_what_the_models_may_take(self) -> None:
        settings = Settings("memory://x", function_bytes=1024 * MIB, memory_bytes=100 * MIB)
        assert (
            Budget.of(settings.function_bytes, settings.memory_bytes).size_bytes
            == 1024 * MIB - 100 * MIB - RESERVED_BYTES
        )

    def test_a_part_is_left_where_models_may_take_everything(self) -> None:
        settings = Settings("memory://x", function_bytes=512 * MIB, memory_bytes=512 * MIB)
        budget = Budget.of(settings.function_bytes, settings.memory_bytes)
        assert budget.size_bytes == 512 * MIB // MIN_SHARE

    def test_elsewhere_it_is_of_what_the_system_gives(self) -> None:
        total_bytes = memory.system_bytes()
        assert Budget.of(None, None).size_bytes == max(
            total_bytes // MIN_SHARE, total_bytes - total_bytes // 2 - RESERVED_BYTES
        )

    @pytest.mark.parametrize(
        ("name", "text"), [("memory.max", "268435456\n"), ("memory/memory.limit_in_bytes", "268435456\n")]
    )
    def test_the_system_gives_what_the_control_group_may_take(
        self, name: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
        monkeypatch.setattr(memory, "CGROUP_FOLDER", str(tmp_path))
        assert memory.system_bytes() == 256 * MIB

    def test_a_group_without_a_limit_may_take_what_the_machine_has(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "memory.max").write_text("max\n")
        monkeypatch.setattr(memory, "CGROUP_FOLDER", str(tmp_path))
        total = next(line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemTotal"))
        assert memory.system_bytes() == int(total.split()[1]) * 1024


class TestTaking:
    def test_what_exceeds_the_whole_budget_is_refused_at_once(self) -> None:
        with Budget(10 * MIB).share() as share:
            share.take(4 * MIB)
            with pytest.raises(TooLargeError, match="about 11 MiB of memory, expected at most 10: send less at once"):
                share.take(7 * MIB)
            with pytest.raises(TooLargeError), share.taken(7 * MIB):
                pass

    def test_all_is_given_back_at_the_end(self) -> None:
        budget = Budget(10)
        for _ in range(3):
            with budget.share() as share:
                share.take(4)
                with share.taken(6):
                    pass
                share.take(6)

    def test_all_is_given_back_after_an_error(self) -> None:
        budget = Budget(10)

        def fail() -> None:
            memory.take(5)
            with memory.taken(5):
                raise ValueError("a fault")

        for _ in range(3):
            with pytest.raises(ValueError, match="a fault"):
                budget.run(fail)

    def test_nothing_is_counted_outside_of_a_request(self) -> None:
        memory.take(10**15)
        with memory.taken(10**15):
            memory.count_pixels(10**15)

    def test_who_finds_no_room_waits_for_the_steps_of_others(self, others: Start) -> None:
        budget = Budget(10)
        step = Holder(budget, others, 8, is_step=True)
        is_in = threading.Event()

        def ask() -> None:
            with budget.share() as share, share.taken(5):
                is_in.set()

        thread = others(ask)
        thread.join(0.05)
        assert not is_in.is_set()
        step.may_end.set()
        assert is_in.wait(WAIT_S)

    def test_who_finds_no_room_beside_what_others_keep_is_told(self, others: Start) -> None:
        budget = Budget(10)
        kept = Holder(budget, others, 8, is_step=False)
        with budget.share() as share, pytest.raises(BusyError):
            share.take(5)
        kept.may_end.set()

    def test_waiting_ends_with_the_time(self, others: Start) -> None:
        budget = Budget(10)
        step = Holder(budget, others, 8, is_step=True)
        with deadline.within(0.05), budget.share() as share, pytest.raises(DeadlineError):
            share.take(5)
        step.may_end.set()

    def test_a_share_that_has_ended_takes_nothing_more(self) -> None:
        budget = Budget(10)
        with budget.share() as share:
            pass
        with pytest.raises(BusyError):
            share.take(1)
        with budget.share() as whole:
            whole.take(10)

    def test_the_pixels_of_a_request_are_bounded(self) -> None:
        def ask() -> None:
            memory.count_pixels(MAX_REQUEST_PIXELS)
            memory.count_pixels(1)

        with pytest.raises(TooLargeError, match="pixels in all"):
            Budget(10).run(ask)


class TestRun:
    def test_work_that_finds_no_room_is_begun_again_alone(self, others: Start) -> None:
        budget, begun = Budget(10), list[int]()
        kept = Holder(budget, others, 8, is_step=False)

        def work() -> str:
            begun.append(len(begun))
            if len(begun) == 2:
                assert kept.may_end.is_set()
            memory.take(5)
            return "done"

        found: list[str] = []
        thread = others(lambda: found.append(budget.run(work)))
        thread.join(0.05)
        assert begun == [0]
        kept.may_end.set()
        thread.join(WAIT_S)
        assert (found, begun) == (["done"], [0, 1])

    def test_two_that_each_keep_a_part_and_want_more_both_end(self, others: Start) -> None:
        budget, both = Budget(10), threading.Barrier(2)
        found: list[int] = []

        def work() -> int:
            memory.take(4)
            if both.n_waiting < 2 and not both.broken and len(first) < 2:
                first.append(1)
                both.wait(WAIT_S)
            memory.take(4)
            return 1

        first: list[int] = []
        threads = [others(lambda: found.append(budget.run(work))) for _ in range(2)]
        for thread in threads:
            thread.join(WAIT_S)
        assert found == [1, 1]

    def test_nobody_takes_anything_while_one_works_alone(self) -> None:
        budget = Budget(10)
        with budget.alone() as alone:
            alone.take(1)
            with budget.share() as share, pytest.raises(BusyError):
                share.take(1)
            alone.take(9)
        with budget.share() as share:
            share.take(10)

    def test_the_wait_to_work_alone_ends_with_the_time(self, others: Start) -> None:
        budget = Budget(10)
        kept = Holder(budget, others, 8, is_step=False)
        with deadline.within(0.05), pytest.raises(DeadlineError):
            budget.run(lambda: memory.take(5))
        kept.may_end.set()

    def test_many_never_take_more_than_there_is_and_all_end(self, others: Start) -> None:
        budget, lock, taken, most = Budget(100), threading.Lock(), [0], [0]
        ended: list[int] = []

        def change(size_bytes: int) -> None:
            with lock:
                taken[0] += size_bytes
                most[0] = max(most[0], taken[0])

        def work(number: int) -> None:
            sizes = [7 + number % 20, 11 + number % 13]
            kept = 0
            try:
                for size in sizes:
                    with memory.taken(40):
                        change(40)
                        change(-40)
                    memory.take(size)
                    change(size)
                    kept += size
            finally:
                change(-kept)

        def ask(start: int) -> None:
            for number in range(start, start + 50):
                budget.run(partial(work, number))
                ended.append(number)

        threads = [others(partial(ask, start)) for start in range(0, 400, 50)]
        for thread in threads:
            thread.join(WAIT_S)
        assert sorted(ended) == list(range(400))
        assert most[0] <= 100


def test_a_share_counts_where_it_is_told_to() -> None:
    share = Share(Budget(10))
    with share.counting():
        memory.take(3)
    memory.take(3)
    assert share.size_bytes == 3
