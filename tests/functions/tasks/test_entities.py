from collections.abc import Sequence

from onnxlet.tasks.entities import AVERAGE, FIRST, MAX, NONE, SIMPLE, Token, find, without_overlaps

LABELS = ("O", "B-A", "I-A", "B-B", "I-B")


def tokens(text: str, *labels: str, subwords: Sequence[int] = ()) -> list[Token]:
    """Return a token for each word of a text, each with its label."""
    made, start = [], 0
    for index, (word, label) in enumerate(zip(text.split(), labels, strict=True)):
        scores = [0.8 if name == label else 0.05 for name in LABELS]
        made.append(Token(word, scores, start, start + len(word), index, index in subwords))
        start += len(word) + 1
    return made


def found(strategy: str, made: list[Token], ignored: Sequence[str] = ("O",)) -> list[tuple[str, str]]:
    documents = find(made, LABELS, strategy, set(ignored), " ".join)
    return [(str(each.get("entity_group", each.get("entity"))), each["word"]) for each in documents]


def test_neighbours_of_one_label_are_one_entity() -> None:
    made = tokens("Ada Lovelace in London", "B-A", "I-A", "O", "B-B")
    assert found(SIMPLE, made) == [("A", "Ada Lovelace"), ("B", "London")]


def test_a_label_that_begins_an_entity_ends_the_one_before_it() -> None:
    assert found(SIMPLE, tokens("Ada Bob Cy", "B-A", "B-A", "I-A")) == [("A", "Ada"), ("A", "Bob Cy")]


def test_each_token_may_have_its_own_label() -> None:
    made = tokens("Ada in", "B-A", "O")
    assert found(NONE, made, ignored=[]) == [("B-A", "Ada"), ("O", "in")]
    assert find(made, LABELS, NONE, {"O"}, " ".join)[0] == {
        "entity": "B-A",
        "score": 0.8,
        "index": 0,
        "word": "Ada",
        "start": 0,
        "end": 3,
    }


def test_a_word_has_one_label_by_each_strategy() -> None:
    made = tokens("Lon do n", "I-A", "I-B", "I-B", subwords=(1, 2))
    made[1] = Token("do", [0, 0, 0.1, 0, 0.9], 4, 6, 1, True)
    assert [found(strategy, made) for strategy in (FIRST, AVERAGE, MAX)] == [
        [("A", "Lon do n")],
        [("B", "Lon do n")],
        [("B", "Lon do n")],
    ]


def test_ignored_labels_are_left_out() -> None:
    made = tokens("Ada in London", "B-A", "O", "B-B")
    assert found(SIMPLE, made, ignored=["O", "A"]) == [("B", "London")]
    assert found(SIMPLE, made, ignored=[]) == [("A", "Ada"), ("O", "in"), ("B", "London")]


def test_a_text_without_tokens_has_no_entities() -> None:
    assert [found(strategy, []) for strategy in (NONE, SIMPLE, FIRST)] == [[], [], []]


def test_of_entities_that_overlap_the_longest_or_surest_stays() -> None:
    part = {"start": 0, "end": 4, "score": 0.9}
    whole = {"start": 0, "end": 8, "score": 0.5}
    surer = {"start": 10, "end": 12, "score": 0.7}
    unsure = {"start": 10, "end": 12, "score": 0.6}
    assert without_overlaps([surer, part, whole, unsure]) == [whole, surer]
    assert without_overlaps([]) == []
