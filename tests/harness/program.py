"""One program that a test starts, with its log and signals; it ends with the test."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

from tests.harness.system.process_guard import Guard, kill_session, session_pids
from tests.harness.system.session import Session
from tests.harness.waiting import PATIENCE, wait_until

#: The repository.
ROOT = Path(__file__).resolve().parents[2]

_guard = Guard()
_running: dict[int, Program] = {}


class Died(AssertionError):
    """A program ended although the test needs it; the message holds the end of its log."""


#: No test cuts the power, and each commit would wait for the disk.
QUICK = {"SWALLOWTAIL_DATABASE_SYNC": "normal", "SWALLOWTAIL_DEMO_WORDS_PER_SECOND": "0"}


def clean_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """This process's environment without Swallowtail's own variables, with the repository importable, plus `extra`."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SWALLOWTAIL_") and k != "PORT"}
    return {**environment, **QUICK, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **extra}


class Program(Session):
    """A command run in a session of its own, so that it and all it starts can be ended together.

    It writes to a log file, across restarts too. `ready` is the condition that `start` waits for. The address of a
    program (port, socket) is fixed when it is made, so `start` after `kill` brings it back at the same place.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path = ROOT,
        user: str | None = None,
    ) -> None:
        super().__init__(name)
        self.command = list(command)
        self.env = dict(env or {})
        self.log = log
        self.cwd = cwd
        self.user = user
        self._log_start = 0
        self._test_start = 0

    def ready(self) -> bool:
        """Whether the program can be used now. Subclasses ask the program itself."""
        return True

    def start(self, *, wait: bool = True, timeout: float = PATIENCE) -> Self:
        """Start it, and with `wait` return only when it is ready. Raises Died with its log if it ends first."""
        if self.is_running:
            raise RuntimeError(f"{self.name} is running already")
        self._log_start = self._log_size()
        identity = self.user if os.geteuid() == 0 else None  # only root may run a program as another user
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                self.command,
                env=clean_environment(self.env),
                cwd=self.cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                user=identity,
                group=identity,
                extra_groups=None if identity is None else [],
            )
        _guard.watch(self._process.pid)
        _running[self._process.pid] = self
        if wait:
            try:
                self.wait_ready(timeout)
            except BaseException:
                self.kill()
                raise
        return self

    def wait_ready(self, timeout: float = PATIENCE) -> None:
        """Wait until `ready`, failing at once when the program ends instead."""
        self.wait_for(self.ready, f"{self.name} is ready", timeout=timeout)

    def wait_for(self, condition: Callable[[], object], what: str, *, timeout: float = PATIENCE) -> None:
        """Wait for a condition that only this program, alive, can bring about."""

        def holds() -> bool:
            if not self.is_running:
                raise Died(f"{self.name} ended with {self.returncode} before {what}:\n{self.tail()}")
            return bool(condition())

        wait_until(holds, what, timeout=timeout, every=0.05, seen=self.tail)

    def wait_for_log(self, text: str, *, timeout: float = PATIENCE) -> None:
        """Wait until this run of the program has logged `text`."""
        self.wait_for(lambda: text in self.log_text(), f"{self.name} logs {text!r}", timeout=timeout)

    def wait(self, timeout: float = PATIENCE) -> int:
        """Wait for the program's own end; its exit code. What it left behind is ended too."""
        wait_until(lambda: not self.is_running, f"{self.name} ends", timeout=timeout, seen=self.tail)
        code = self.returncode
        assert code is not None
        self._sweep()
        return code

    def terminate(self, timeout: float = PATIENCE) -> int:
        """Ask it to end (SIGTERM) and wait; its exit code. Raises GaveUp if it does not."""
        if self.is_running:
            self.signal(signal.SIGTERM)
        return self.wait(timeout)

    def kill(self) -> None:
        """End it and everything it started, at once, leaving no chance to tidy up."""
        if self._process is not None:
            kill_session(self.pid)
            self._process.wait()
            self._sweep()

    def kill_main(self) -> None:
        """kill -9 of the first process only; what it started lives on until it notices."""
        self.signal(signal.SIGKILL)
        assert self._process is not None
        self._process.wait()

    def restart(self, *, wait: bool = True, timeout: float = PATIENCE) -> Self:
        """Kill it and start it again at the same place."""
        self.kill()
        return self.start(wait=wait, timeout=timeout)

    def log_text(self) -> str:
        """What the current (or last) run logged."""
        return self._read_log(self._log_start)

    def tail(self, lines: int = 40) -> str:
        """The last lines of the log."""
        return "\n".join(self.log_text().splitlines()[-lines:])

    def begin_test(self) -> None:
        """Note that what is logged from now on is of a new test."""
        self._test_start = self._log_size()

    def test_tail(self, lines: int = 80) -> str:
        """The last lines logged in the present test, by all runs in it."""
        return "\n".join(self._read_log(self._test_start).splitlines()[-lines:])

    def _log_size(self) -> int:
        return self.log.stat().st_size if self.log.exists() else 0

    def _read_log(self, start: int) -> str:
        if not self.log.exists():
            return ""
        with self.log.open("rb") as stream:
            stream.seek(start)
            return stream.read().decode(errors="replace")

    def _sweep(self) -> None:
        pid = self.pid

        def ended() -> bool:
            kill_session(pid)
            return not session_pids(pid)

        wait_until(ended, f"all of {self.name} has ended")
        if _running.pop(pid, None) is not None:
            _guard.release(pid)

    def __enter__(self) -> Self:
        return self if self.is_running else self.start()

    def __exit__(self, *_: object) -> None:
        self.kill()


def make_directory(user: str | None = None) -> Path:
    """A new directory with a short path (a socket's has room for about 100 characters), gone after the test run.

    It belongs to `user` if we are root.
    """
    path = Path(tempfile.mkdtemp(prefix="swallowtail-", dir="/tmp"))
    _guard.remove(path)
    if user is not None and os.geteuid() == 0:
        shutil.chown(path, user, user)
    return path


def remove_directory(path: Path) -> None:
    """Remove the directory of `make_directory` once no process uses it: an ending process still writes to it."""
    wait_until(lambda: not users_of(path), f"no process uses {path}", seen=lambda: users_of(path))
    shutil.rmtree(path)


def users_of(directory: Path) -> list[str]:
    """The other processes, each as its id and command, that use the directory."""
    open_files = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ")
            known = [command, (process / "environ").read_bytes(), os.fsencode((process / "cwd").readlink())]
            if any(os.fsencode(directory) in text for text in known) and process.name != str(os.getpid()):
                open_files.append(f"{process.name} {command.decode(errors='replace')}")
    return open_files


def running() -> list[Program]:
    """The programs started and not yet ended, oldest first."""
    return list(_running.values())


def kill_all() -> list[str]:
    """End every program still there; their names. For the end of the test run."""
    left = running()
    for program in left:
        with contextlib.suppress(ProcessLookupError):
            program.kill()
    _guard.close()
    return [program.name for program in left]


def memory_of(pid: int) -> int:
    """The resident memory of a process in KiB."""
    with open(f"/proc/{pid}/status") as status:
        fields: dict[str, str] = dict(line.split(":", 1) for line in status)
    return int(fields["VmRSS"].split()[0])
