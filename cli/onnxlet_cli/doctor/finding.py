"""A finding: what was looked at, what was found there, what was expected, and the remedy."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

Severity = Literal["error", "warning", "ok"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    severity: Severity
    """`error`: it does not work, or will not; `warning`: it works, and not as it should; `ok`: nothing is wrong."""
    code: str
    """Stable: the thing that was looked at, then what is wrong with it."""
    where: str
    found: str
    expected: str = ""
    remedy: str = ""

    def to_document(self) -> dict[str, Any]:
        """The finding for machines."""
        return asdict(self)

    def to_line(self) -> str:
        """The finding for people."""
        expected = f", expected {self.expected}" if self.expected else ""
        remedy = f"; {self.remedy}" if self.remedy else ""
        return f"{self.severity:<8} {self.code:<24} {self.where}: {self.found}{expected}{remedy}"


def ok(code: str, where: str, found: str) -> Finding:
    """Nothing is wrong here."""
    return Finding("ok", code, where, found)


def warning(code: str, where: str, found: str, expected: str, remedy: str) -> Finding:
    """It works, and not as it should."""
    return Finding("warning", code, where, found, expected, remedy)


def error(code: str, where: str, found: str, expected: str, remedy: str) -> Finding:
    """It does not work, or will not."""
    return Finding("error", code, where, found, expected, remedy)
