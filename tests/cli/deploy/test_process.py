from pathlib import Path

import pytest

from onnxlet_cli.deploy.process import Finished, run_tool
from onnxlet_publishing.errors import MachineError
from tests.helpers.cloud_tools import put_tool


def test_lines_of_both_streams_come_as_they_are_written(tmp_path: Path) -> None:
    tool = put_tool(tmp_path, "tool", "import sys\nprint('one')\nsys.stderr.write('two\\n')\nraise SystemExit(2)")
    lines: list[str] = []
    done = run_tool([str(tool)], tmp_path, {"PYTHONUNBUFFERED": "1"}, lines.append)
    assert lines == ["one", "two"]
    assert (done.code, done.is_ok, done.text) == (2, False, "one\ntwo\n")


def test_a_tool_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="nowhere: cannot be run: No such file"):
        run_tool(["nowhere"], tmp_path)


def test_a_tool_gets_no_input_and_wide_tables(tmp_path: Path) -> None:
    tool = put_tool(tmp_path, "tool", "import os, sys\nprint(sys.stdin.read() == '', os.environ['COLUMNS'])")
    assert run_tool([str(tool)], tmp_path).text == "True 300\n"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("Error: Unable to upload\n", "Unable to upload"),
        ("Error: first\nmore\n", "first"),
        ("Uploading\nFailed\n", "Failed"),
        ("│ Error: Invalid value\n╵\n", "Invalid value"),
        ("", "it says nothing"),
    ],
)
def test_the_line_that_says_what_is_wrong_is_found(text: str, line: str) -> None:
    assert Finished(1, text).last_error() == line
