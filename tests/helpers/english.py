"""The rules of the project's English that a program can check; CONTRIBUTING.md states all of them.

`python -m tests.helpers.english FOLDER|FILE ...` lists what breaks them there.
"""

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

OPENINGS = re.compile(
    r"(Of|That|By|Whose|Which|Who|Whoever|What|Where|When|As|None|How|In|For|From|With|Without|Beside|So|Such"
    r"|Its|It|Those|These|They|Them)\b"
)
"""The first words of a docstring that continues a name, or a sentence that stands elsewhere."""

CALL_OPENINGS = re.compile(r"(Whether|The|A|An|All|Each|Every|Is|Are|Has|Any|No|One|Two|Only|To)\b")
"""The first words of a function's docstring that does not begin with an imperative verb; properties may have them."""

WORDS = {
    r"let(s|ting)? go": "unload, release",
    r"shall": "must",
    r"told": "configured, said",
    r"beside": "next to, in addition to",
    r"reckon\w*": "estimate",
    r"all the same": "anyway",
    r"by (itself|themselves|himself)": "automatically",
    r"goes on|go on|going on|went on": "continue",
    r"held (to|against)": "compared with",
    r"who(m|so)?ever": "the caller, anybody who",
    r"alone": "only",
    r"anew": "again",
    r"lest": "so that … not",
    r"(there|here)(of|to|by|in)": "of it, to it",
    r"be it": "even if it is",
    r"(is|are|was|were|that are|that is) (?-i:none)": "repeat the noun",
    r"(is|are) such": "repeat the noun",
    r"of which there": "name it",
    r"rooms?": "module, package; memory, space",
    r"arrows?": "dependency, import",
    r"in (its|their) own way": "differently",
    r"looked at": "name who checks",
    r"nought|naught": "0, nothing",
    r"he|him|himself|his|she|her": "they, the user",
    r"asked (about|of)": "requested",
    r"(is|are) said of": "name it",
    r"in the place of": "instead of",
    r"some day|one day": "later",
}
"""Words that the project no longer uses, each with what to write instead."""

FIRST_PERSON = re.compile(r"\b(we|us|our|ours)\b", re.IGNORECASE)
"""Forbidden in what a user reads; a comment may say "we"."""

_WORDS = [(re.compile(rf"\b(?:{pattern})\b", re.IGNORECASE), instead) for pattern, instead in WORDS.items()]
_CODE = re.compile(r"`[^`]*`|\"[^\"]*\"|https?://\S+|^```.*?^```", re.MULTILINE | re.DOTALL)
_MESSAGE_CALLS = {"echo", "print_line", "print_note", "print_error", "Option", "Argument", "Typer"}


def problems(path: Path) -> Iterator[str]:
    """Yield one line for each rule that a Python file breaks."""
    source = path.read_text()
    tree = ast.parse(source)
    for line, text, kind in docstrings(tree):
        yield from (f"{path}:{line}: {problem}" for problem in docstring_problems(text, kind))
    for line, text in messages(tree):
        yield from (f"{path}:{line}: {problem}" for problem in word_problems(text))
        if FIRST_PERSON.search(text):
            yield f"{path}:{line}: name who acts instead of we, us or our: {text[:60]!r}"
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield from (f"{path}:{token.start[0]}: {problem}" for problem in word_problems(token.string))


def page_problems(path: Path) -> Iterator[str]:
    """Yield one line for each word on a Markdown page that the project no longer uses."""
    text = _CODE.sub(lambda code: "\n" * code[0].count("\n"), path.read_text())
    for number, line in enumerate(text.split("\n"), 1):
        yield from (f"{path}:{number}: {problem}" for problem in word_problems(line))


def docstrings(tree: ast.AST) -> Iterator[tuple[int, str, str]]:
    """Yield line, text and kind (`module`, `class`, `function`, `property`, `attribute`) of each docstring."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text:
                yield node.body[0].lineno, text, _kind(node)
            yield from _attributes(node.body)


def _attributes(body: list[ast.stmt]) -> Iterator[tuple[int, str, str]]:
    for before, after in pairwise(body):
        if isinstance(before, ast.Assign | ast.AnnAssign) and isinstance(after, ast.Expr):
            value = after.value
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                yield after.lineno, value.value, "attribute"


def docstring_problems(text: str, kind: str) -> Iterator[str]:
    """Yield what is wrong with one docstring."""
    if OPENINGS.match(text):
        yield f"the docstring begins with {text.split(maxsplit=1)[0]!r}: {text[:60]!r}"
    if kind == "function" and CALL_OPENINGS.match(text):
        yield f"the docstring of a function begins with {text.split(maxsplit=1)[0]!r}, not with a verb: {text[:60]!r}"
    if kind == "constructor" and re.match(r"(Take|Begin|Hold|Keep)\b", text):
        yield f"a constructor needs no docstring that repeats its parameters: {text[:60]!r}"
    if text[:1].islower():
        yield f"the docstring begins in lower case: {text[:60]!r}"
    if not re.search(r"[.!?:`\"]$", text.split("\n\n", maxsplit=1)[0].strip()):
        yield f"the docstring's first paragraph has no end: {text[:60]!r}"
    yield from word_problems(text)


def word_problems(text: str) -> Iterator[str]:
    """Yield the words of a text that the project no longer uses; quoted names and code do not count."""
    prose = _CODE.sub("", text)
    for pattern, instead in _WORDS:
        if found := pattern.search(prose):
            yield f"{found[0]!r}: write {instead}: {prose[max(0, found.start() - 30) : found.end() + 30]!r}"


def messages(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield line and text of what users read: the texts of raised errors, help texts and printed lines."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise) and node.exc is not None:
            yield from _texts(node.exc)
        elif isinstance(node, ast.Call) and _name(node.func) in _MESSAGE_CALLS:
            yield from _texts(node)


def _texts(node: ast.AST) -> Iterator[tuple[int, str]]:
    for each in ast.walk(node):
        if isinstance(each, ast.Constant) and isinstance(each.value, str) and " " in each.value:
            yield each.lineno, each.value


def _kind(node: ast.AST) -> str:
    if isinstance(node, ast.Module):
        return "module"
    if isinstance(node, ast.ClassDef):
        return "class"
    if getattr(node, "name", "") == "__init__":
        return "constructor"
    decorators = {_name(each) for each in getattr(node, "decorator_list", [])}
    return "property" if decorators & {"property", "cached_property", "setter"} else "function"


def _name(node: ast.AST) -> str:
    if isinstance(node, ast.Call):
        return _name(node.func)
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def main(places: list[str]) -> None:
    """Print the problems of Python files and Markdown pages, or of all those in a folder."""
    paths = [
        path for place in map(Path, places) for path in (sorted(place.rglob("*.py")) if place.is_dir() else [place])
    ]
    found = [line for path in paths for line in (page_problems if path.suffix == ".md" else problems)(path)]
    sys.stdout.writelines(f"{line}\n" for line in [*found, f"{len(found)} problems"])


if __name__ == "__main__":
    main(sys.argv[1:])
