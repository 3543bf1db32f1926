"""Entities: tokens with scores to the entities that they form, as `transformers` aggregates them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from onnxlet.record import Record

NONE, SIMPLE, FIRST, AVERAGE, MAX = "none", "simple", "first", "average", "max"
STRATEGIES = (NONE, SIMPLE, FIRST, AVERAGE, MAX)
"""The ways to an entity: each token separately, neighbours of one label, or whole words of one label.

A word has the label of its first token, of the average of its tokens, or of its most certain token.
"""

Join = Callable[[Sequence[str]], str]
"""Returns the text of tokens."""


class Token(Record):
    """One token of a text."""

    word: str
    scores: list[float]
    """The probability of each label."""
    start: int
    """The first character."""
    end: int
    """The character after the last one."""
    index: int
    """The position among the tokens of the text, special ones included."""
    is_subword: bool
    """Whether it continues a word."""


def find(
    tokens: Sequence[Token], labels: Sequence[str], strategy: str, ignored: Collection[str], join: Join
) -> list[dict[str, Any]]:
    """Return the documents of a text's entities, in the order of the text.

    Args:
        tokens: The text's tokens without the special ones.
        labels: The label of each class.
        strategy: One of `STRATEGIES`.
        ignored: Labels and groups that are not entities.
        join: Returns the text of tokens.
    """
    if strategy in {NONE, SIMPLE}:
        found = [_labelled(token, labels) for token in tokens]
    else:
        found = [_word(list(word), labels, strategy, join) for word in _words(tokens)]
    if strategy == NONE:
        return [entity for entity in found if entity["entity"] not in ignored]
    return [entity for entity in _groups(found, join) if entity["entity_group"] not in ignored]


def without_overlaps(entities: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return entities of overlapping parts of a text; of those that overlap, the longest, or else the most certain."""
    kept: list[dict[str, Any]] = []
    for entity in sorted(entities, key=lambda each: int(each["start"])):
        if kept and kept[-1]["start"] <= entity["start"] < kept[-1]["end"]:
            if _rank(entity) > _rank(kept[-1]):
                kept[-1] = entity
        else:
            kept.append(entity)
    return kept


def _rank(entity: dict[str, Any]) -> tuple[int, float]:
    return entity["end"] - entity["start"], entity["score"]


def _best(scores: Sequence[float]) -> int:
    return max(range(len(scores)), key=scores.__getitem__)


def _labelled(token: Token, labels: Sequence[str]) -> dict[str, Any]:
    best = _best(token.scores)
    return {
        "entity": labels[best],
        "score": token.scores[best],
        "index": token.index,
        "word": token.word,
        "start": token.start,
        "end": token.end,
    }


def _words(tokens: Sequence[Token]) -> list[list[Token]]:
    """Return the tokens word by word."""
    words: list[list[Token]] = []
    for token in tokens:
        if words and token.is_subword:
            words[-1].append(token)
        else:
            words.append([token])
    return words


def _word(tokens: list[Token], labels: Sequence[str], strategy: str, join: Join) -> dict[str, Any]:
    """Return one word with its label."""
    if strategy == FIRST:
        scores = tokens[0].scores
    elif strategy == MAX:
        scores = max(tokens, key=lambda token: max(token.scores)).scores
    else:
        scores = [sum(column) / len(tokens) for column in zip(*(token.scores for token in tokens), strict=True)]
    best = _best(scores)
    word = join([token.word for token in tokens])
    return {
        "entity": labels[best],
        "score": scores[best],
        "word": word,
        "start": tokens[0].start,
        "end": tokens[-1].end,
    }


def _groups(found: Sequence[dict[str, Any]], join: Join) -> list[dict[str, Any]]:
    """Return neighbours with the same label as one entity each; a label `B-...` begins a new one."""
    groups: list[list[dict[str, Any]]] = []
    for entity in found:
        if groups and _tag(entity) == _tag(groups[-1][-1]) and not entity["entity"].startswith("B-"):
            groups[-1].append(entity)
        else:
            groups.append([entity])
    return [
        {
            "entity_group": group[0]["entity"].split("-", 1)[-1],
            "score": sum(entity["score"] for entity in group) / len(group),
            "word": join([entity["word"] for entity in group]),
            "start": group[0]["start"],
            "end": group[-1]["end"],
        }
        for group in groups
    ]


def _tag(entity: dict[str, Any]) -> str:
    """Return a label without its `B-` or `I-`."""
    label: str = entity["entity"]
    return label[2:] if label.startswith(("B-", "I-")) else label
