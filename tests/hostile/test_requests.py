"""Malformed requests over all routes: each is an answer or the client's error, without a crash, a trace or a leak."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from onnxlet.web.app import App
from onnxlet.web.endpoints import ROUTES
from tests.hostile.requests import SEEDS, serve

SHORT, LONG = 4_000, 100_000
MAX_GROWN_MIB = 64
"""Between a tenth of the requests and all of them."""


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> App:
    return serve(tmp_path_factory.mktemp("hostile").as_uri())


@pytest.mark.parametrize("number", range(len(SEEDS)))
def test_what_the_requests_are_made_of_is_answered(app: App, number: int) -> None:
    assert app.handle(SEEDS[number]()).status == 200


def test_every_route_is_among_them(app: App) -> None:
    lines: list[Any] = []
    app.write_line = lines.append
    for seed in SEEDS:
        app.handle(seed())
    assert {line["route"] for line in lines} >= {route.pattern for route in ROUTES if "versions" not in route.pattern}


def fuzz(count: int, seed: int) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "tests.hostile.requests", str(count), str(seed)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("count", [SHORT, pytest.param(LONG, marks=pytest.mark.soak)])
def test_a_malformed_request_is_an_answer_or_the_clients_error(count: int) -> None:
    found = fuzz(count, seed=count)
    sys.stdout.write(json.dumps(found))
    statuses = Counter({int(status): times for status, times in found["statuses"].items()})
    assert found["traces"] == []
    assert max(statuses) < 500, statuses
    assert sum(times for status, times in statuses.items() if status >= 400) > count / 2, "most of them are malformed"
    assert found["grown_mib"] < MAX_GROWN_MIB
    assert set(found["whole"]) == {200}, "and the function goes on"
