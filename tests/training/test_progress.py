import io
from pathlib import Path

import pytest
from rich.console import Console

from onnxlet_training.progress import Report


def test_elsewhere_than_on_a_terminal_an_epoch_is_a_line() -> None:
    text = io.StringIO()
    with Report(Console(file=text, width=100), epochs=12, batches=2, logs=None) as report:
        for epoch in (0, 1):
            report.begin(epoch)
            report.advance()
            report.end(epoch, {"loss": 0.5, "val_loss": 0.25})
    lines = text.getvalue().splitlines()
    assert len(lines) == 2
    for epoch, line in enumerate(lines, 1):
        assert line.startswith(f"  epoch {epoch:2}/12  loss 0.5000  val_loss 0.2500  ")


def test_a_terminal_shows_the_measures_next_to_a_bar() -> None:
    text = io.StringIO()
    with Report(Console(file=text, force_terminal=True, width=100), epochs=2, batches=2, logs=None) as report:
        report.begin(0)
        report.advance()
        report.end(0, {"loss": 0.5})
    assert "epoch 1/2" in text.getvalue()
    assert "loss 0.5000" in text.getvalue()


@pytest.mark.training
def test_each_epoch_is_in_tensorboards_logs(tmp_path: Path) -> None:
    with Report(Console(quiet=True), epochs=2, batches=1, logs=tmp_path / "tensorboard") as report:
        for epoch in (0, 1):
            report.begin(epoch)
            report.end(epoch, {"loss": 0.5})
    assert len(list((tmp_path / "tensorboard").glob("events*"))) == 2
