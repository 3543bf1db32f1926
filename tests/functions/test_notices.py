import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import onnxlet
from onnxlet import notices

FUNCTIONS = Path(onnxlet.__file__).parents[1]


@pytest.mark.parametrize(
    ("write", "level"),
    [(notices.error, logging.ERROR), (notices.warning, logging.WARNING), (notices.info, logging.INFO)],
)
def test_a_notice_is_a_record_of_the_log_onnxlet_with_the_place_of_its_writer(
    write: Callable[..., None], level: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="onnxlet")
    write("%s: not cached: %s", "model", OSError("full"))
    (record,) = caplog.records
    assert (record.name, record.levelno, record.getMessage()) == ("onnxlet", level, "model: not cached: full")
    assert record.filename == Path(__file__).name


@pytest.mark.parametrize(
    ("call", "is_imported", "written"),
    [("info('loaded')", False, ""), ("warning('not %s', 'cached')", True, "not cached\n")],
)
def test_only_a_notice_that_somebody_may_read_imports_logging(call: str, is_imported: bool, written: str) -> None:
    program = f"import sys; from onnxlet import notices; notices.{call}; print('logging' in sys.modules)"
    command = [sys.executable, "-S", "-c", program]
    done = subprocess.run(command, cwd=FUNCTIONS, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == (f"{is_imported}\n", written)
