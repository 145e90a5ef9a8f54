"""Ends the processes of a test run when the test run itself is killed.

Run as `python guard.py` with a pipe as its input. Lines `+PID` and `-PID` add and remove a session, `/PATH` adds a
directory; when the pipe closes, however that came about, every process of the sessions still listed is killed and every
directory removed. A finalizer cannot do this (it does not run after kill -9), and a parent-death signal would miss the
children of the processes and fire at the end of a mere thread.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path


def session_pids(leader: int) -> list[int]:
    """The processes of the session that `leader` began, itself included, also those whose parent is gone."""
    pids = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[3]) == leader and fields[0] != "Z":
                pids.append(int(stat.parent.name))
    return pids


def kill_session(leader: int, number: signal.Signals = signal.SIGKILL) -> None:
    """Signal every process of the session; without /proc, its process group."""
    pids = session_pids(leader)
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
    if not Path("/proc/self/stat").exists():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(leader, number)


class Guard:
    """The test run's end of the pipe."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def watch(self, leader: int) -> None:
        """From now on, end this session if the test run dies."""
        self._say(f"+{leader}")

    def release(self, leader: int) -> None:
        """Forget a session that has ended: its number may be used again."""
        self._say(f"-{leader}")

    def remove(self, directory: Path) -> None:
        """Remove this directory, if it is still there, when the test run is over."""
        self._say(str(directory.absolute()))

    def close(self) -> None:
        """End the guard itself."""
        if self._process is not None:
            self._process.communicate()
            self._process = None

    def _say(self, line: str) -> None:
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-I", __file__], stdin=subprocess.PIPE, text=True, start_new_session=True
            )
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()


def main() -> None:
    """Keep the lists until the pipe closes, then end the sessions and remove the directories."""
    sessions: set[int] = set()
    directories: list[str] = []
    for line in sys.stdin:
        if line.startswith("/"):
            directories.append(line.rstrip("\n"))
        else:
            (sessions.add if line.startswith("+") else sessions.discard)(int(line[1:]))
    for leader in sessions:
        kill_session(leader)
    for directory in directories:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
