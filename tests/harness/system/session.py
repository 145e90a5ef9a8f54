"""A process and all that it starts, in a session of its own, which a test signals, freezes and thaws."""

from __future__ import annotations

import os
import signal
import subprocess

from tests.harness.system.process_guard import kill_session, session_pids


class Session:
    """The processes of one program. Its subclass `tests/harness/program.Program` starts and ends them."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id of the running program."""
        if self._process is None:
            raise RuntimeError(f"{self.name} was not started")
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the program itself (not merely something it started) lives."""
        return self._process is not None and self._process.poll() is None

    @property
    def returncode(self) -> int | None:
        """How the last run ended: the exit code, or minus the number of the signal; None while it runs."""
        return None if self._process is None else self._process.poll()

    def descendants(self) -> list[int]:
        """Every living process of the program but the first, in the order of their ids."""
        return sorted(set(session_pids(self.pid)) - {self.pid})

    def signal(self, number: signal.Signals) -> None:
        """Signal the program's first process only."""
        os.kill(self.pid, number)

    def pause(self) -> None:
        """Freeze every process of the program, as a machine that stalls would."""
        kill_session(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Thaw what `pause` froze."""
        kill_session(self.pid, signal.SIGCONT)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"
