"""Small requests that ask for much: refused before the time or the memory is spent on them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hostile.bombs import object_bombs, pixel_and_decompression_bombs

MAX_MS, MAX_MB = 50, 50
REFUSED = {413, 415, 422}
"""Too large, of no kind that is taken, or not what its type says."""

SIDE_INFORMATION = {"png zTXt", "png iTXt", "png iCCP"}
"""Answered, since it is left out unread: the picture is small."""


@pytest.fixture(scope="module")
def measured() -> dict[str, tuple[int, float, float]]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.hostile.bombs"], cwd=Path(__file__).parents[2], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, tuple[int, float, float]] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_a_pixel_or_decompression_bomb_is_refused_at_once_and_without_memory(
    measured: dict[str, tuple[int, float, float]],
) -> None:
    """In CPU time: the wall clock of a machine that others use says nothing."""
    found = {name: measured[name] for name in pixel_and_decompression_bombs()}
    too_much = {name: each for name, each in found.items() if each[1] > MAX_MS or each[2] > MAX_MB}
    assert too_much == {}
    assert {found[name][0] for name in SIDE_INFORMATION} == {200}
    assert {status for name, (status, _, _) in found.items() if name not in SIDE_INFORMATION} <= REFUSED


def test_what_would_become_millions_of_objects_is_refused_before_it_does(
    measured: dict[str, tuple[int, float, float]],
) -> None:
    found = {name: measured[name] for name in object_bombs()}
    assert {status for status, _, _ in found.values()} == {413}
    assert max(megabytes for _, _, megabytes in found.values()) < MAX_MB
