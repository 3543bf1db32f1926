from onnxlet_cli.doctor.finding import Finding


def test_a_line_has_what_was_found_and_what_to_do() -> None:
    finding = Finding.error("url", "https://h", "nothing", "an answer", "start it")
    assert finding.to_line() == "error    url                      https://h: nothing, expected an answer; start it"
    assert Finding.ok("url", "https://h", "ready").to_line() == "ok       url                      https://h: ready"


def test_a_document_has_all_fields() -> None:
    document = Finding.warning("code", "where", "found", "expected", "remedy").to_document()
    fields = ("code", "where", "found", "expected", "remedy")
    assert document == {"severity": "warning", **{name: name for name in fields}}
