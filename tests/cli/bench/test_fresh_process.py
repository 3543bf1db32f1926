import json
import os
from pathlib import Path

import pytest

from onnxlet_cli.bench.fresh_process import Command, run_function, run_program
from onnxlet_cli.errors import FreshProcessError

ENVIRONMENT = {"PATH": os.environ["PATH"]}


def program(source: str, folder: Path) -> Command:
    return Command(("python", "-c", source), folder, ENVIRONMENT)


def function(source: str, folder: Path) -> Command:
    (folder / "function.py").write_text(source)
    return Command(("python", "-m", "awslambdaric", "function.handler"), folder, ENVIRONMENT)


def test_a_program_is_timed_to_its_last_byte_and_its_memory_is_read(tmp_path: Path) -> None:
    source = "import sys, time; time.sleep(.1); print(end='abc', flush=True); sys.stdin.read()"
    outcome = run_program(program(source, tmp_path), 3)
    assert outcome.body == b"abc"
    assert outcome.seconds >= 0.1
    assert outcome.peak_bytes > 1024**2


def test_a_program_that_ends_early_says_why(tmp_path: Path) -> None:
    with pytest.raises(FreshProcessError, match="ZeroDivisionError"):
        run_program(program("1 / 0", tmp_path), 3)


def test_a_function_gets_the_event_and_nothing_of_our_environment(tmp_path: Path) -> None:
    source = "import os\ndef handler(event, context): return [event, os.environ.get('HOME'), context.aws_request_id]"
    outcome = run_function(function(source, tmp_path), json.dumps({"a": "é" * 100_000}).encode())
    assert json.loads(outcome.body) == [{"a": "é" * 100_000}, None, "bench"]
    assert outcome.seconds > 0
    assert outcome.peak_bytes > 1024**2


@pytest.mark.parametrize("source", ["1 / 0", "def handler(event, context): 1 / 0"])
def test_a_function_that_fails_says_why(source: str, tmp_path: Path) -> None:
    with pytest.raises(FreshProcessError, match="division by zero"):
        run_function(function(source, tmp_path), b"{}")


def test_a_function_that_ends_is_no_answer(tmp_path: Path) -> None:
    with pytest.raises(FreshProcessError, match="so it was"):
        run_function(function("import os\nprint('so it was', flush=True)\nos._exit(3)", tmp_path), b"{}")


def test_a_function_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    with pytest.raises(FreshProcessError, match="no answer"):
        run_function(function("import time\ntime.sleep(60)", tmp_path), b"{}", timeout_s=0.5)
