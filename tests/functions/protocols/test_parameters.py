import pytest

from onnxlet.errors import InvalidRequestError
from onnxlet.protocols.parameters import parse_parameters


@pytest.mark.parametrize("document", [{}, {"parameters": None}, {"parameters": {}}])
def test_absent_parameters_are_an_empty_object(document: dict[str, object]) -> None:
    assert parse_parameters(document) == {}


def test_parameters_are_returned_as_they_are() -> None:
    assert parse_parameters({"parameters": {"top_k": 3, "seed": None}}) == {"top_k": 3, "seed": None}


@pytest.mark.parametrize("value", [[], 1, "text", False])
def test_anything_else_is_refused(value: object) -> None:
    with pytest.raises(InvalidRequestError, match="parameters: expected an object"):
        parse_parameters({"parameters": value})
