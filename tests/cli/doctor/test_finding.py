from dataclasses import asdict

from onnxlet_cli.doctor.finding import error, ok, warning


def test_a_line_has_what_was_found_and_what_to_do() -> None:
    finding = error("url", "https://h", "nothing", "an answer", "start it")
    assert finding.to_line() == "error    url                      https://h: nothing, expected an answer; start it"
    assert ok("url", "https://h", "ready").to_line() == "ok       url                      https://h: ready"


def test_a_document_has_all_fields() -> None:
    document = asdict(warning("code", "where", "found", "expected", "remedy"))
    fields = ("code", "where", "found", "expected", "remedy")
    assert document == {"severity": "warning", **{name: name for name in fields}}
