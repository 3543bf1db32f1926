"""A finding: what was checked, what was found there, what was expected, and what to do."""

from dataclasses import dataclass
from functools import partial
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """The outcome of one check."""

    severity: Literal["error", "warning", "ok"]
    """`error`: it does not work, or will fail; `warning`: it works, but not as it should; `ok`: nothing is wrong."""
    code: str
    """A stable code: the thing that was checked, then what is wrong with it."""
    where: str
    found: str
    expected: str = ""
    remedy: str = ""

    def to_line(self) -> str:
        """Return the finding for people."""
        expected = f", expected {self.expected}" if self.expected else ""
        remedy = f"; {self.remedy}" if self.remedy else ""
        return f"{self.severity:<8} {self.code:<24} {self.where}: {self.found}{expected}{remedy}"


ok = partial(Finding, "ok")
warning = partial(Finding, "warning")
error = partial(Finding, "error")
