from onnxlet_publishing.child_process import MAX_RESULTS, ResultCache


def test_what_was_found_of_a_graph_is_not_sought_again() -> None:
    findings: ResultCache[int] = ResultCache()
    assert findings.get(b"graph", "question", lambda: 1) == 1
    assert findings.get(b"gra" + b"ph", "question", lambda: 2) == 1


def test_another_graph_and_another_question_are_found_anew() -> None:
    findings: ResultCache[int] = ResultCache()
    findings.get(b"graph", "question", lambda: 1)
    assert findings.get(b"another graph", "question", lambda: 2) == 2
    assert findings.get(b"graph", "another question", lambda: 3) == 3


def test_the_oldest_finding_is_forgotten() -> None:
    findings: ResultCache[int] = ResultCache()
    for number in range(MAX_RESULTS + 1):
        findings.get(b"%d" % number, None, lambda number=number: number)  # type: ignore[misc]
    assert findings.get(b"1", None, lambda: -1) == 1
    assert findings.get(b"0", None, lambda: -1) == -1
