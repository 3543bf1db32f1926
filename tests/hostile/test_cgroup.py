"""Decompression bombs to the clouds' real runtimes, in the memory that the clouds give them."""

import pytest

from tests.hostile import cgroup

pytestmark = [
    pytest.mark.outside,
    pytest.mark.skipif(not cgroup.is_possible(), reason="needs root and a memory control group"),
]

ANSWERED = {"200", "413"}


def check(found: dict[str, cgroup.Report], bombs: int) -> None:
    assert {name: report.kills for name, report in found.items()} == dict.fromkeys(found, 0)
    for name, report in found.items():
        assert report.innocents.total() > 0, name
        assert set(report.innocents) == {"answered" if "objects" in name else "200"}, name
        wanted = {"answered", "too_large"} if "objects" in name else ANSWERED
        assert {each.rpartition(" ")[2] for each in report.bombs} <= wanted, name
        assert report.bombs.total() == bombs, name


def test_some_bombs_end_no_process_in_little_memory() -> None:
    check(cgroup.run(10, (512,)), 10)


@pytest.mark.soak
def test_two_hundred_bombs_end_no_process_in_any_memory() -> None:
    check(cgroup.run(200), 200)
