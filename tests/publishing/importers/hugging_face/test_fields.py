"""Fields of Hugging Face's files: values of another kind are refused by name, and not met later as a traceback."""

from typing import Any

import pytest

from onnxlet_publishing.errors import UsageError
from onnxlet_publishing.importers.hugging_face import fields


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"architectures": None, "id2label": None, "size": None},
        {"architectures": ["BertModel"], "model_type": "bert", "problem_type": "regression", "unknown": object()},
        {"size": 224, "crop_size": [224, 224], "resample": 3, "crop_pct": 0.875},
        {"size": {"shortest_edge": 800, "longest_edge": None}, "image_mean": [0.5, 0, 1], "rescale_factor": 1 / 255},
        {"model_max_length": 10**30, "pad_token_id": 0, "prompts": {"query": "q: "}, "matryoshka_dimensions": [64]},
    ],
)
def test_what_the_libraries_write_is_read(document: dict[str, Any]) -> None:
    fields.check(document, "config.json")


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("architectures", {"content": None}, "a list of texts"),
        ("architectures", [1], "a list of texts"),
        ("id2label", ["a"], "an object"),
        ("problem_type", {"a": 1}, "a text"),
        ("model_max_length", float("inf"), "a finite number"),
        ("crop_pct", True, "a finite number"),
        ("image_std", [0.5, "x"], "a list of finite numbers"),
        ("image_mean", [float("nan")], "a list of finite numbers"),
        ("pad_token_id", 10**30, "an integer"),
        ("resample", 2.5, "an integer"),
        ("size", {"height": "8"}, "an integer, or an object"),
        ("size", [8.5], "an integer, or an object"),
    ],
)
def test_another_value_is_refused_by_the_name_of_its_field(name: str, value: object, kind: str) -> None:
    with pytest.raises(UsageError, match=rf"^config\.json: {name}: expected {kind}.*, got "):
        fields.check({name: value}, "config.json")
