from pathlib import Path

import pytest

from onnxlet.clouds import aws_events
from onnxlet.events.messages import ObjectReference
from onnxlet_cli.bench.events import PHOTOS, measure_events, to_event, to_label
from onnxlet_cli.bench.options import Options
from onnxlet_cli.errors import WrongAnswerError


def test_an_event_is_what_the_functions_read() -> None:
    messages = aws_events.to_messages(to_event(["a/1.jpg", "a/2.jpg"]))
    assert [message.sources for message in messages] == [
        (ObjectReference("s3", "bench", "a/1.jpg"),),
        (ObjectReference("s3", "bench", "a/2.jpg"),),
    ]


def test_a_result_names_its_first_label() -> None:
    assert to_label({"label": "cat"}) == "cat"
    assert to_label({"predictions": [{"top": [{"label": "cat"}, {"label": "dog"}]}]}) == "cat"
    with pytest.raises(WrongAnswerError, match="not an image"):
        to_label({"error": "not an image"})


@pytest.mark.perf
def test_both_ways_answer_all_photos_alike(tmp_path: Path) -> None:
    section = measure_events(Options(runs=1, cache=tmp_path), lambda _: None)
    assert [len(series.samples) for series in section.series] == [1, 1]
    assert PHOTOS == 64
