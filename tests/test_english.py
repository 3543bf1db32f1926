"""The project's English, as far as a program can check it: `tests/helpers/english.py` has the rules."""

import ast
from pathlib import Path

import pytest

from tests.helpers import english

ROOT = Path(__file__).parents[1]
MODULES = sorted(
    path for folder in ("functions", "publishing", "training", "cli") for path in (ROOT / folder).rglob("*.py")
)
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("infra/*.md")])


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_reads_well(path: Path) -> None:
    assert list(english.problems(path)) == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_page_has_no_word_that_the_project_no_longer_uses(path: Path) -> None:
    assert list(english.page_problems(path)) == []


@pytest.mark.parametrize(
    "source",
    [
        'def f():\n    """Of a warm request: the time."""',
        'def f():\n    """The time of a request."""',
        'def f():\n    """Whether it is cold."""',
        'def f():\n    """Return the time"""',
        'class C:\n    """what a request takes."""',
        'x = 1\n"""By how much it grows."""',
        'class C:\n    def __init__(self, x):\n        """Take the number."""',
        'def f():\n    """Return what is let go."""',
        "x = 1  # the version beside it",
        'raise ValueError("a file that is none")',
        'raise ValueError("the store refuses our key")',
        'option = typer.Option(help="Who may ask, or whoever else")',
    ],
)
def test_a_planted_fault_is_found(source: str, tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text(f"{source}\n")
    assert len(list(english.problems(module))) == 1


@pytest.mark.parametrize(
    "source",
    [
        'def f():\n    """Return the seconds that a warm request takes."""',
        'class C:\n    @property\n    def p(self):\n        """Whether the process is cold."""',
        'x = 1\n"""Seconds from the request to the response."""',
        'raise ValueError("labels.txt: expected a label on each line, got nothing")',
    ],
)
def test_a_plain_sentence_is_no_fault(source: str, tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text(f"{source}\n")
    assert list(english.problems(module)) == []


def test_the_docstring_of_an_attribute_in_a_constructor_counts() -> None:
    tree = ast.parse('class C:\n    def __init__(self):\n        self.x = 1\n        """Of it."""')
    assert [kind for _, _, kind in english.docstrings(tree)] == ["attribute"]
