"""A finding: what was checked, what was found there, what was expected, and what to do."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

Severity = Literal["error", "warning", "ok"]


@dataclass(frozen=True)
class Finding:
    """The outcome of one check."""

    severity: Severity
    """`error`: it does not work, or will fail; `warning`: it works, but not as it should; `ok`: nothing is wrong."""
    code: str
    """A stable code: the thing that was checked, then what is wrong with it."""
    where: str
    found: str
    expected: str = ""
    remedy: str = ""

    @classmethod
    def ok(cls, code: str, where: str, found: str) -> "Finding":
        """Return a finding that nothing is wrong."""
        return cls("ok", code, where, found)

    @classmethod
    def warning(cls, code: str, where: str, found: str, expected: str, remedy: str) -> "Finding":
        """Return a finding about something that works, but not as it should."""
        return cls("warning", code, where, found, expected, remedy)

    @classmethod
    def error(cls, code: str, where: str, found: str, expected: str, remedy: str) -> "Finding":
        """Return a finding about something that does not work, or will fail."""
        return cls("error", code, where, found, expected, remedy)

    def to_document(self) -> dict[str, Any]:
        """Return the finding for machines."""
        return asdict(self)

    def to_line(self) -> str:
        """Return the finding for people."""
        expected = f", expected {self.expected}" if self.expected else ""
        remedy = f"; {self.remedy}" if self.remedy else ""
        return f"{self.severity:<8} {self.code:<24} {self.where}: {self.found}{expected}{remedy}"
