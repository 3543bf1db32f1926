import pickle
import re

from onnxlet import errors
from onnxlet.errors import MAX_TEXT_CHARACTERS, InvalidTensorError, OnnxletError


def family(error: type[OnnxletError]) -> list[type[OnnxletError]]:
    """Those of `onnxlet.errors`: which other modules were imported before does not count."""
    children = [child for child in error.__subclasses__() if child.__module__ == errors.__name__]
    return [error, *(member for child in children for member in family(child))]


def test_the_drawn_tree_is_the_real_one() -> None:
    drawn = re.findall(r"── (\w+) +(\d{3})  (\w+)", errors.__doc__ or "")
    real = [(error.__name__, str(error.status), error.code) for error in family(OnnxletError)[1:]]
    assert sorted(drawn) == sorted(real)


def test_the_drawn_branches_are_the_real_parents() -> None:
    lines = (errors.__doc__ or "").splitlines()
    parents = {0: "OnnxletError"}
    for line in lines:
        if found := re.match(r"([│ ]*)[├└]── (\w+)", line):
            depth = len(found[1]) // 4 + 1
            parents[depth] = found[2]
            assert getattr(errors, found[2]).__bases__[0].__name__ == parents[depth - 1]


def test_codes_are_unique() -> None:
    codes = [error.code for error in family(OnnxletError)]
    assert len(codes) == len(set(codes))


def test_a_text_is_one_line_of_bounded_length_whatever_it_quotes() -> None:
    assert str(InvalidTensorError('input "a\r\nb\u2028c\x1b": é 日本')) == 'input "a  b c ": é 日本'
    assert len(str(InvalidTensorError("x" * 10**6))) == MAX_TEXT_CHARACTERS


def test_an_error_survives_its_way_between_processes() -> None:
    error = pickle.loads(pickle.dumps(InvalidTensorError("a\nb")))
    assert (type(error), str(error)) == (InvalidTensorError, "a b")
