import pytest

from onnxlet_cli.bench.options import SIZES, parse_names
from onnxlet_publishing.errors import UsageError


def test_names_are_those_given_or_all() -> None:
    assert parse_names("mobile, tiny") == ("mobile", "tiny")
    assert parse_names(None) == tuple(SIZES)


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="bert: expected some of tiny, cnn, mobile, resnet50, embedder, text"):
        parse_names("bert")
