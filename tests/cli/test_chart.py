from pathlib import Path

import pytest

from onnxlet_cli.chart import drawn, require_chart
from onnxlet_publishing.errors import UsageError


def test_a_format_or_a_folder_that_cannot_be_written_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--chart .*a\.gif: expected a file that ends in \.png, \.svg, \.pdf"):
        require_chart("--chart", tmp_path / "a.gif")
    with pytest.raises(UsageError, match="expected a file in an existing folder"):
        require_chart("--chart", tmp_path / "none" / "a.png")


def test_a_figure_is_saved_when_the_context_ends(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    with drawn(tmp_path / "a.svg", 9) as (_, axis):
        axis.plot([1, 2])
    assert (tmp_path / "a.svg").read_text().startswith("<?xml")
