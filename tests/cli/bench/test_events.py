from pathlib import Path

import pytest

from onnxlet.clouds import aws_events
from onnxlet.events.messages import ObjectReference
from onnxlet_cli.bench.events import PHOTOS, measure_events, to_event
from onnxlet_cli.bench.options import Options


def test_an_event_is_what_the_functions_read() -> None:
    messages = aws_events.to_messages(to_event(["a/1.jpg", "a/2.jpg"]))
    assert [message.sources for message in messages] == [
        (ObjectReference("s3", "bench", "a/1.jpg"),),
        (ObjectReference("s3", "bench", "a/2.jpg"),),
    ]


@pytest.mark.perf
def test_both_ways_answer_all_photos_alike(tmp_path: Path) -> None:
    section = measure_events(Options(runs=1, cache=tmp_path), lambda _: None)
    assert [len(series.samples) for series in section.series] == [1, 1]
    assert PHOTOS == 64
