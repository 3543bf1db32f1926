"""Sizes and values that no client should send, to a model of each operator: no death, no 5xx, no loss for others."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.hostile.operators import OPERATORS, SHORT, publish_operators

SHORT_REQUESTS, LONG_REQUESTS = 150, 10_000
MIN_OPERATORS = 60


def fuzz(root: str, cloud: str, count: int) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "tests.hostile.operators", root, cloud, str(count), str(count)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def require_well(found: Any, count: int) -> None:
    sys.stdout.write(json.dumps({name: each for name, each in found.items() if name != "by_operator"}))
    assert found["failures"] == []
    assert found["inside"] == []
    assert sum(found["statuses"].values()) == count
    assert set(found["statuses"]) <= {"200", "400", "413", "422"}
    assert set(found["bystander"]) == {"200"}
    assert found["statuses"]["200"] > count / 10, "the models do run"
    assert found["statuses"]["400"] > count / 10, "and are asked what they do not take"


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> str:
    root = tmp_path_factory.mktemp("short").as_uri()
    assert publish_operators(root, SHORT) == {}
    return root


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> str:
    root = tmp_path_factory.mktemp("whole").as_uri()
    assert publish_operators(root, list(OPERATORS)) == {}
    return root


@pytest.mark.parametrize("cloud", ["gcp", "aws"])
def test_no_size_or_value_ends_the_process_of_a_common_operator(short: str, cloud: str) -> None:
    require_well(fuzz(short, cloud, SHORT_REQUESTS), SHORT_REQUESTS)


@pytest.mark.soak
@pytest.mark.parametrize("cloud", ["gcp", "aws"])
def test_no_size_or_value_ends_the_process_of_any_operator_but_those_that_the_gate_warns_of(
    whole: str, cloud: str
) -> None:
    found = fuzz(whole, cloud, LONG_REQUESTS)
    require_well(found, LONG_REQUESTS)
    assert found["operators"] >= MIN_OPERATORS
