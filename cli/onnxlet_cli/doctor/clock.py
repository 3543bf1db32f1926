"""The clock of this machine compared with that of a server, which refuses signatures of another time."""

import time
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime

from onnxlet_cli.doctor.finding import Finding, error, ok, warning

REFUSED_S = 300
"""The skew at which servers refuse requests: AWS at 15 minutes for S3 and at 5 for most others, Google at 5 to 10."""
LOOSE_S = 30

REMEDY = "set this machine's clock: timedatectl set-ntp true"


def examine(headers: Mapping[str, str], where: str, now_s: float | None = None) -> Iterator[Finding]:
    """Compare the `Date` of a response, if it has one, with this machine's time `now_s`; None reads the time."""
    try:
        theirs_s = parsedate_to_datetime(headers["date"]).timestamp()
    except (KeyError, ValueError):
        return
    skew_s = (time.time() if now_s is None else now_s) - theirs_s
    found = f"this clock is {abs(skew_s):.0f} s {'ahead of' if skew_s > 0 else 'behind'} theirs"
    if abs(skew_s) >= REFUSED_S:
        yield error("clock_skew", where, found, "at most some seconds: signed requests are refused", REMEDY)
    elif abs(skew_s) >= LOOSE_S:
        yield warning("clock_skew", where, found, "at most some seconds", REMEDY)
    else:
        yield ok("clock", where, "this clock agrees with theirs")
