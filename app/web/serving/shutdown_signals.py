"""Records SIGTERM and SIGINT for a web process, and ends it by force when it takes too long to close."""

from __future__ import annotations

import os
import signal
from typing import Any

#: Seconds from a signal to the end of the process, whether it has closed by then or not.
SHUTDOWN_SECONDS = 4.5
_STDERR = 2


def catch_signals(stopping: list[int], shutdown_seconds: float = SHUTDOWN_SECONDS) -> None:
    """Append SIGTERM and SIGINT to `stopping`; a second signal ends the process at once.

    A process that has not ended `shutdown_seconds` after the first signal is ended with a message.
    """

    def stop(number: int, _: Any) -> None:
        if stopping:
            # The second signal: the operator does not want to wait.
            os._exit(128 + number)
        stopping.append(number)
        signal.signal(signal.SIGALRM, end)
        signal.setitimer(signal.ITIMER_REAL, shutdown_seconds)

    def end(*_: Any) -> None:
        # Not through the log: the interrupted code may hold its lock.
        os.write(_STDERR, f"the process did not end within {shutdown_seconds:g} s and is ended\n".encode())
        os._exit(0)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
