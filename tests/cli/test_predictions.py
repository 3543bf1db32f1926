"""Predictions as lines for people."""

import base64
import io

from PIL import Image

from onnxlet_cli.predictions import answer_lines, prediction_lines


def test_labels_are_printed_with_their_probabilities() -> None:
    top = [{"label": "cat", "probability": 0.75}, {"label": "dog", "probability": 0.25}]
    assert prediction_lines({"label": "cat", "probability": 0.75, "top": top}) == ["cat  0.7500", "dog  0.2500"]


def test_many_values_are_counted_and_not_printed() -> None:
    assert prediction_lines([[[0.0] * 300] * 200]) == ["1 x 200 x 300 values; --json prints them"]
    assert prediction_lines({"a": [1.0, 2.0], "b": [[0] * 40]}) == [
        "a  [1.0, 2.0]",
        "b  1 x 40 values; --json prints them",
    ]
    assert prediction_lines({"label": 1, "scores": [0.5]}) == ["label  1", "scores  [0.5]"]


def test_objects_are_a_table_with_boxes_in_whole_pixels() -> None:
    face = {"label": "face", "score": 0.81079, "box": {"xmin": 173.24, "ymin": 82.88, "xmax": 274.01, "ymax": 180.17}}
    assert prediction_lines([face, face | {"label": "bicycle"}]) == [
        "label    score   box",
        "face     0.8108  xmin 173, ymin 83, xmax 274, ymax 180",
        "bicycle  0.8108  xmin 173, ymin 83, xmax 274, ymax 180",
    ]
    assert prediction_lines([]) == ["nothing found"]


def test_a_mask_is_printed_as_its_share_of_the_picture() -> None:
    mask = Image.new("L", (40, 20))
    mask.paste(255, (0, 0, 10, 20))
    stream = io.BytesIO()
    mask.save(stream, "PNG")
    png = base64.b64encode(stream.getvalue()).decode()
    assert prediction_lines([{"label": "sky", "score": None, "mask": png}]) == [
        "label  score  mask",
        "sky    -      25.0% of 40 x 20 pixels",
    ]


def test_the_entries_of_a_long_answer_are_counted() -> None:
    *lines, last = prediction_lines([{"start": 0.0, "end": 1.5}] * 100)
    assert lines[:2] == ["start   end", "0.0000  1.5000"]
    assert (len(lines), last) == (33, "and 68 more; --json prints them")


def test_a_long_vector_is_printed_by_its_length_and_its_first_numbers() -> None:
    assert prediction_lines([0.25] * 384) == ["384 values: 0.2500, 0.2500, 0.2500, 0.2500, ...; --json prints them"]
    assert prediction_lines([0.5, 0.25]) == ["[0.5, 0.25]"]


def test_a_span_and_labels_of_the_clients_own_are_printed() -> None:
    assert prediction_lines({"answer": "Paris", "score": 0.5, "start": 3, "end": 8}) == [
        'answer  "Paris"',
        "score  0.5",
        "start  3",
        "end  8",
    ]
    labels = {"sequence": "a", "labels": ["weather", "sports"], "scores": [0.75, 0.25]}
    assert prediction_lines(labels) == ["label    score", "weather  0.7500", "sports   0.2500"]


def test_rows_with_several_lines_have_a_heading() -> None:
    row = {"mean": 1.0, "std": 0.5}
    assert answer_lines([row]) == ["mean  1.0", "std  0.5"]
    assert answer_lines([row, row]) == ["row 1", "  mean  1.0", "  std  0.5", "row 2", "  mean  1.0", "  std  0.5"]
    assert answer_lines([0.5, 0.25]) == ["0.5", "0.25"]
