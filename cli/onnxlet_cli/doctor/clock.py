"""The clock of this machine compared with that of a server, which refuses signatures of another time."""

import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from onnxlet_cli.doctor.finding import Finding, error, ok, warning

REFUSED_S = 300
"""The skew at which servers refuse requests: AWS at 15 minutes for S3 and at 5 for most others, Google at 5 to 10."""
LOOSE_S = 30

REMEDY = "set this machine's clock: timedatectl set-ntp true"


def examine(headers: Mapping[str, str], where: str, now_s: float | None = None) -> Finding | None:
    """Compare the `Date` of a response with this machine's time; return None if the response has no date.

    Args:
        headers: The response's headers, with lower-case names.
        where: The server's URL.
        now_s: This machine's time; None reads it.
    """
    try:
        theirs_s = parsedate_to_datetime(headers["date"]).timestamp()
    except (KeyError, ValueError):
        return None
    skew_s = (time.time() if now_s is None else now_s) - theirs_s
    found = f"this clock is {abs(skew_s):.0f} s {'ahead of' if skew_s > 0 else 'behind'} theirs"
    if abs(skew_s) >= REFUSED_S:
        return error("clock_skew", where, found, "at most some seconds: signed requests are refused", REMEDY)
    if abs(skew_s) >= LOOSE_S:
        return warning("clock_skew", where, found, "at most some seconds", REMEDY)
    return ok("clock", where, "this clock agrees with theirs")
