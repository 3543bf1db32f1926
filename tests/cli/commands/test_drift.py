import json
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from onnxlet.http import Request
from onnxlet.registry.registry import Registry
from onnxlet.settings import Settings
from onnxlet.storage import open_store
from onnxlet.web.app import App
from onnxlet_cli.main import app as command
from onnxlet_publishing.errors import UsageError
from onnxlet_publishing.publish import publish_all
from onnxlet_training.tasks.classification import to_png
from tests.helpers import graphs, real_digits


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A registry with a classifier of real digits that has training statistics, and a model without."""
    url = (tmp_path_factory.mktemp("registry")).as_uri()
    publish_all(Registry(open_store(url)), [real_digits.regression(), graphs.digits_candidate()])
    return url


@pytest.fixture
def results(tmp_path: Path) -> str:
    return (tmp_path / "results").as_uri()


UNSEEN = real_digits.load()[0][real_digits.UNSEEN]


def ask(registry: str, results: str, images: Any) -> None:
    """Let a function answer images, and capture what it answers."""
    app = App(Settings(registry, results=results, capture=1.0), write_line=lambda _line: None)
    for image in images:
        png = to_png(np.ascontiguousarray(image))
        response = app.handle(Request("POST", "/predict/regression", png, {"content-type": "image/png"}))
        assert response.status == 200, response.body


def drift(registry: str, results: str, *options: str, name: str = "regression") -> Result:
    return CliRunner().invoke(command, ["drift", name, "--registry", registry, "--results", results, *options])


def test_digits_as_in_training_stay_under_the_threshold(registry: str, results: str) -> None:
    ask(registry, results, UNSEEN[:200])
    done = drift(registry, results)
    assert done.exit_code == 0, done.output
    assert "200 rows of 200 requests; nothing moved" in done.output


def test_rotated_digits_go_over_it_and_what_moved_is_named(registry: str, results: str, tmp_path: Path) -> None:
    ask(registry, results, np.rot90(UNSEEN[:200], axes=(1, 2)))
    done = drift(registry, results, "--json", "--plot", str(tmp_path / "drift.png"))
    assert done.exit_code == 1, done.output
    document = json.loads(done.output)
    moved = {each["measure"] for each in document["measures"] if each["moved"]}
    assert {"confidence", "label"} <= moved
    assert "input.mean" not in moved  # the same pixels, elsewhere
    assert (document["moved"], document["rows"]) == (True, 200)
    assert Image.open(tmp_path / "drift.png").width > 500
    told = drift(registry, results)
    assert told.output.splitlines()[0].split() == ["measure", "index", "bound", "in", "training", "now"]
    assert "moved: " in told.output.splitlines()[-1]


def test_digits_on_grey_paper_move_the_input(registry: str, results: str) -> None:
    ask(registry, results, np.maximum(UNSEEN[:100], 90))
    document = json.loads(drift(registry, results, "--json").output)
    assert "input.mean" in {each["measure"] for each in document["measures"] if each["moved"]}


def test_the_threshold_decides(registry: str, results: str) -> None:
    ask(registry, results, np.rot90(UNSEEN[:100], axes=(1, 2)))
    assert drift(registry, results, "--threshold", "100").exit_code == 0


@pytest.mark.parametrize("count", [0, 20])
def test_too_little_to_tell_has_an_exit_code_of_its_own(registry: str, results: str, count: int) -> None:
    open_store(results, create=True)
    ask(registry, results, UNSEEN[:count])
    done = drift(registry, results)
    assert done.exit_code == 2
    assert f"{count} rows of {count} requests; expected 50 rows or more" in done.output


def test_days_before_are_left_out(registry: str, results: str) -> None:
    ask(registry, results, UNSEEN[:1])
    store = open_store(results)
    (key,) = store.keys("capture")
    for _ in range(60):
        store.put_if_absent(f"capture/regression/1/2001-01-01/{uuid.uuid4().hex}.json", store.read(key).data)
    assert "1 rows of 1 requests" in drift(registry, results).output


def test_a_model_without_training_statistics_says_so(registry: str, results: str) -> None:
    open_store(results, create=True)
    done = drift(registry, results, name="digits")
    assert isinstance(done.exception, UsageError)
    assert "expected training statistics to compare with, got none" in str(done.exception)
