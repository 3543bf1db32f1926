"""`python -m tests.conformance`: do the functions answer what ONNX Runtime answers, over HTTP, for every operator?"""

import argparse
import logging
import os
import sys
import tempfile
import time
from pathlib import Path

import onnx
import onnxruntime
from rich.console import Console
from rich.markup import escape

from onnxlet_cli.local.serve import CLOUDS
from tests.conformance.cases import load_tests
from tests.conformance.comparison import ASK, Report, compare
from tests.helpers.wheel import without_library


def main() -> int:
    """Compare; returns 1 where an answer is another one than ONNX Runtime's."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("--cloud", choices=sorted(CLOUDS), default="gcp", help="whose local runtime serves")
    parser.add_argument("--engine", choices=["native", "python"], default="native", help="what calls ONNX Runtime")
    parser.add_argument("names", nargs="*", help="the tests to run, as ONNX names them; by default all")
    arguments = parser.parse_args()
    console = Console(soft_wrap=True, highlight=False)
    # A model is warmed up on zeros, which some operators refuse (a size, a divisor); that is said of each case.
    logging.getLogger("onnxlet").setLevel(logging.ERROR)
    started_s = time.perf_counter()
    tests = [test for test in load_tests() if not arguments.names or test.name in arguments.names]
    if not tests:
        parser.error("names: no such tests")
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as packages:
        if arguments.engine == "python":
            os.environ["PYTHONPATH"] = str(without_library(Path(packages)))  # of the processes that answer
        report = compare(tests, arguments.cloud, Path(folder), Console(stderr=True))
    _print(report, console)
    console.print(
        f"{arguments.cloud}'s local runtime, {arguments.engine} engine, {time.perf_counter() - started_s:.0f} s"
    )
    return 1 if report.wrong else 0


def _print(report: Report, console: Console) -> None:
    console.print(f"{report.tests} node tests of onnx {onnx.__version__}, onnxruntime {onnxruntime.__version__}")
    for form in ASK:
        console.print(f"{form:7} {report.asked[form]:5} asked, {report.right(form):5} with ONNX Runtime's answer")
    console.print("left out:")
    for (form, reason), count in report.left_out.most_common():
        console.print(f"{count:5}  {form:12}  {reason}")
    for name, form, problem in report.wrong:
        console.print(f"[red]wrong[/] {name} in {form}: {escape(problem)}")


if __name__ == "__main__":
    sys.exit(main())
