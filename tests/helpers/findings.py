"""What the tests ask of findings."""

from collections.abc import Iterable

from onnxlet_cli.doctor.finding import Finding


def wrong(findings: Iterable[Finding]) -> list[Finding]:
    """All that is not in order."""
    return [finding for finding in findings if finding.severity != "ok"]


def only(findings: Iterable[Finding], severity: str, code: str, *words: str) -> Finding:
    """The one thing that is wrong, which has this code and says these words."""
    (finding,) = wrong(findings)
    check(finding, severity, code, *words)
    return finding


def one(findings: Iterable[Finding], severity: str, code: str, *words: str) -> Finding:
    """The one finding with this code, among others."""
    (finding,) = [finding for finding in findings if finding.code == code]
    check(finding, severity, code, *words)
    return finding


def check(finding: Finding, severity: str, code: str, *words: str) -> None:
    assert (finding.severity, finding.code) == (severity, code)
    line = finding.to_line()
    assert "\n" not in line
    for word in words:
        assert word in line
    if severity != "ok":
        assert finding.expected
        assert finding.remedy
