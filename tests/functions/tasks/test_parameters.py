import pytest

from onnxlet.errors import InvalidRequestError
from onnxlet.tasks import parameters

PARSERS = {
    "top_k": parameters.integer(1, 100),
    "threshold": parameters.number(0, 1),
    "strategy": parameters.choice("simple", "none"),
    "normalize": parameters.flag,
    "template": parameters.text(20),
    "labels": parameters.texts(3, 10),
}


@pytest.mark.parametrize(
    ("name", "sent", "value"),
    [
        ("top_k", 3, 3),
        ("top_k", 3.0, 3),
        ("top_k", "3", 3),
        ("threshold", 0.25, 0.25),
        ("threshold", "0.25", 0.25),
        ("strategy", "none", "none"),
        ("normalize", True, True),
        ("normalize", "false", False),
        ("template", "This is {}.", "This is {}."),
        ("labels", ["a", "b"], ["a", "b"]),
        ("labels", "a, b", ["a", "b"]),
    ],
)
def test_json_and_the_text_of_a_query_mean_the_same(name: str, sent: object, value: object) -> None:
    assert parameters.parse({name: sent}, PARSERS) == {name: value}


def test_null_stands_for_the_default() -> None:
    assert parameters.parse({"top_k": None, "unknown": None}, PARSERS) == {}


@pytest.mark.parametrize(
    ("name", "sent", "problem"),
    [
        ("top_k", 0, "top_k: expected an integer from 1 to 100, got 0"),
        ("top_k", 2.5, "top_k: expected an integer from 1 to 100, got 2.5"),
        ("top_k", True, "top_k: expected an integer from 1 to 100, got true"),
        ("top_k", "1_0", "top_k: expected an integer from 1 to 100, got '1_0'"),
        ("top_k", "2.0", "top_k: expected an integer from 1 to 100, got '2.0'"),
        ("top_k", "nan", "top_k: expected an integer from 1 to 100, got 'nan'"),
        ("top_k", "9" * 400, "top_k: expected an integer from 1 to 100, got "),
        ("threshold", float("inf"), "threshold: expected a number from 0 to 1, got "),
        ("threshold", "half", "threshold: expected a number from 0 to 1, got 'half'"),
        ("threshold", [0.5], "threshold: expected a number from 0 to 1, got "),
        ("strategy", "best", "strategy: expected one of simple, none, got 'best'"),
        ("strategy", 1, "strategy: expected one of simple, none, got 1"),
        ("normalize", "yes", "normalize: expected true or false, got 'yes'"),
        ("normalize", 1, "normalize: expected true or false, got 1"),
        ("template", "", "template: expected a text of 1 to 20 characters"),
        ("template", "x" * 21, "template: expected a text of 1 to 20 characters"),
        ("labels", [], "labels: expected a list of 1 to 3 texts"),
        ("labels", ["a", 1], "labels: expected a list of 1 to 3 texts"),
        ("labels", ["a", "b", "c", "d"], "labels: expected a list of 1 to 3 texts"),
        ("labels", ["x" * 11], "labels: expected a list of 1 to 3 texts"),
        ("treshold", 0.5, "parameter 'treshold': expected one of this model's parameters (labels, normalize, strategy"),
    ],
)
def test_a_wrong_parameter_is_refused_by_its_name(name: str, sent: object, problem: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        parameters.parse({name: sent}, PARSERS)
    assert str(caught.value).startswith(problem)
    assert len(str(caught.value)) < 300
