from pathlib import Path

import pytest

from onnxlet_cli.bench.cold import measure_cold
from onnxlet_cli.bench.options import Options
from onnxlet_cli.bench.throttle import Throttle


def test_every_case_of_tiny_ends_with_the_right_answer(tmp_path: Path) -> None:
    lines: list[str] = []
    options = Options(("tiny",), 1, Throttle(None, 0.001), cache=tmp_path)
    section = measure_cold(options, lines.append)
    assert lines == ["cold tiny, 10 KB, S3 as fast as it can, 1 ms to the first byte"]
    assert {series.label: len(series.samples) for series in section.series} == {
        "tiny: onnxlet": 1,
        "tiny: onnxlet, no prefetch": 1,
        "tiny: onnxlet, JSON": 1,
        "tiny: typical": 1,
        "tiny: limit": 1,
        "tiny: onnxlet, peak memory": 1,
        "tiny: typical, peak memory": 1,
        "tiny: limit, peak memory": 1,
    }
    assert all(sample > 1 for series in section.series for sample in series.samples)
    assert [comparison.key for comparison in section.comparisons] == [
        "cold tiny / typical",
        "cold tiny / limit",
        "cold tiny no prefetch / typical",
        "cold tiny json / typical",
        "memory tiny / typical",
    ]
    assert [panel.title for panel in section.panels] == ["Cold start, tiny (10 KB)"]


@pytest.mark.perf
def test_every_case_of_mobile_ends_with_the_right_answer(tmp_path: Path) -> None:
    section = measure_cold(Options(("mobile",), 1, cache=tmp_path), lambda _: None)
    assert {"cold mobile / limit", "cold photo / typical"} <= {comparison.key for comparison in section.comparisons}


@pytest.mark.perf
def test_every_case_of_the_embedder_ends_with_the_right_answer(tmp_path: Path) -> None:
    section = measure_cold(Options(("embedder",), 1, cache=tmp_path), lambda _: None)
    assert {"cold text / binary", "cold text / typical"} <= {comparison.key for comparison in section.comparisons}
    assert section.panels[-1].title == "Cold start, text to vector, embedder"
