"""The names of what people bring."""

import pytest

from onnxlet.contract import layout
from onnxlet_publishing.importers.source import MAX_NAME, file_name, possible_name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("all-MiniLM-L6-v2", "all-minilm-l6-v2"),
        ("My model (final)", "my-model-final"),
        ("Größe_2.1", "gr-e_2.1"),
        ("._hidden", "hidden"),
        ("日本", "model"),
        ("a" * 80, "a" * MAX_NAME),
        ("a" * 62 + "-b", "a" * 62),
    ],
)
def test_a_folder_or_a_repository_gives_a_possible_name(text: str, name: str) -> None:
    assert possible_name(text) == name
    assert layout.is_name(name)


def test_a_plain_file_gives_its_own_name() -> None:
    assert file_name("My Net") == "my-net"
