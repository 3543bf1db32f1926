import ast
from itertools import pairwise
from pathlib import Path

import onnxlet
from onnxlet import limits

SOURCE = (Path(onnxlet.__file__).parent / "limits/__init__.py").read_text()


def test_every_limit_says_what_it_bounds() -> None:
    body = ast.parse(SOURCE).body
    for statement, following in pairwise(body):
        if isinstance(statement, ast.Assign):
            (target,) = statement.targets
            assert isinstance(target, ast.Name)
            says_why = isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant)
            assert says_why or target.id == "MIB", target.id


def test_the_defaults_lie_within_their_limits() -> None:
    assert limits.MIN_EXPLAIN_RUNS <= limits.DEFAULT_EXPLAIN_RUNS <= limits.MAX_EXPLAIN_RUNS
    assert 0 < limits.DEFAULT_GENERATE_LENGTH <= limits.MAX_LENGTH


def test_a_part_is_never_larger_than_the_whole() -> None:
    assert max(limits.MAX_JSON_TEXTS, limits.MAX_JSON_LISTS, limits.MAX_JSON_OBJECTS) <= limits.MAX_JSON_VALUES
    assert limits.MAX_PIXELS <= limits.MAX_REQUEST_PIXELS
    assert limits.MAX_INFLATED_BYTES <= limits.MAX_BODY_BYTES <= limits.MAX_DECODED_BYTES
