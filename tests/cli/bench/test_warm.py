from pathlib import Path

import pytest

from onnxlet_cli.bench.options import Options
from onnxlet_cli.bench.warm import measure_warm


@pytest.mark.perf
def test_every_warm_case_ends_with_the_right_answer(tmp_path: Path) -> None:
    section = measure_warm(Options(runs=1, cache=tmp_path), lambda _: None)
    keys = {comparison.key for comparison in section.comparisons}
    assert {"warm tiny binary - run", "warm mobile binary / run", "warm http / bare"} <= keys
