"""Compares the clock of a server with that of this machine."""

from __future__ import annotations

from swallowtail.app.core.coordination.database_clock import TOLERANCE
from swallowtail.scripts.doctor.results import CheckResult

_REMEDY = "synchronize the clocks of both machines (NTP): tokens, expiry and schedules use them"


def check_clock(server: str, moment: float, before: float, after: float) -> CheckResult:
    """Compare the clock of a server, read between `before` and `after` of this machine; seconds since 1970."""
    early, late = moment - after, moment - before
    if early > TOLERANCE or late < -TOLERANCE:
        seconds = (early + late) / 2
        direction = "ahead of" if seconds > 0 else "behind"
        return CheckResult(
            "warning", "clock", f"{server} is {abs(seconds):.0f} s {direction} this machine's clock", _REMEDY
        )
    return CheckResult("ok", "clock", f"{server} and this machine differ by less than {TOLERANCE:.0f} s")
