"""How a web process is asked to end, and that it does. Beside the road."""

from __future__ import annotations

import os
import signal
from typing import Any

#: Seconds from a signal to the end of the process, come what may.
LAST_MOMENT = 4.5
_STDERR = 2


def catch_signals(stopping: list[int], last_moment: float = LAST_MOMENT) -> None:
    """Have SIGTERM and SIGINT noted in `stopping`; a second one ends the process at once.

    A process that has not ended `last_moment` seconds after the first is ended, and says so: what it still had to
    write down is lost then.
    """

    def stop(number: int, _: Any) -> None:
        if stopping:
            # Asked twice: somebody means it.
            os._exit(128 + number)
        stopping.append(number)
        signal.signal(signal.SIGALRM, end)
        signal.setitimer(signal.ITIMER_REAL, last_moment)

    def end(*_: Any) -> None:
        # By hand: whoever was interrupted may hold the lock of the log.
        os.write(_STDERR, f"the process did not end within {last_moment:g} s and is ended\n".encode())
        os._exit(0)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
