"""Lines that nobody logged: what is printed, warned of or raised to nobody, as JSON where logs are. Beside the road.

`begin` is the first deed of a process's `main`. It puts streams of ours in the place of standard output and standard
error; `core/logs/setup` then has their lines go through logging, where secrets are hidden. What is written to the descriptors
themselves, by C code, a crash of the interpreter or a program that was started, goes through a pipe to a process that
makes objects of its lines (`core/logs/descriptor_capture`).
"""

from __future__ import annotations

import argparse
import io
import logging
import os
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, TextIO

import orjson
from dotenv import dotenv_values

_NAME = "SWALLOWTAIL_LOG_FORMAT"
#: Tells processes that this one starts which pipe is served already.
_SERVED = "LINES_OF_PIPE"
_Raised = tuple[type[BaseException], BaseException, TracebackType | None]

#: Characters that wait for the end of their line; when there are more, they are written as one.
_LONGEST = 8192


class LineStream(io.TextIOBase):
    """Takes text as a standard stream does, and writes each line of it to `real` as one JSON object."""

    def __init__(self, real: TextIO, name: str, level: int) -> None:
        self.real = real
        self._log = logging.getLogger(name)
        # Shown whatever the level of the rest: whoever prints does not ask for it.
        self._log.setLevel(level)
        self._level = level
        self._descriptor = 1 if name == "stdout" else 2
        # By thread, or greenlet: a coroutine's context ends before its line does. No `threading.local`: eventlet's own
        # kind of that is gone when the interpreter ends and flushes this.
        self._rests: dict[int, str] = {}
        self._busy: ContextVar[bool] = ContextVar("busy", default=False)

    def write(self, text: str) -> int:
        """Take text; what has no end of line yet waits for it."""
        if not isinstance(text, str):
            raise TypeError("this is a stream of text")
        *lines, rest = (self._take_rest() + text).split("\n")
        if len(rest) > _LONGEST:
            # What never ends its line, such as dots of progress, must not be copied at each of them.
            lines, rest = [*lines, rest], ""
        if rest:
            self._rests[threading.get_ident()] = rest
        for line in lines:
            self._tell(line)
        return len(text)

    def flush(self) -> None:
        """Write also what this thread has written without an end of line."""
        self._tell(self._take_rest())

    def writable(self) -> bool:
        """Say that this is for writing."""
        return True

    def fileno(self) -> int:
        """Return the process's descriptor, for those who hand it to others: what they write is made objects of too."""
        return self._descriptor

    def _take_rest(self) -> str:
        return self._rests.pop(threading.get_ident(), "")

    def _tell(self, line: str) -> None:
        if not line.strip():
            return
        if not logging.getLogger().handlers or self._busy.get():
            # Before logging is set up, or when logging itself complains.
            self.real.write(encode_line(line, self._log.name, self._level))
            self.real.flush()
            return
        self._busy.set(True)
        try:
            self._log.log(self._level, "%s", line)
        finally:
            self._busy.set(False)


def begin() -> None:
    """Have every line of this process be JSON, if it is set so; does nothing otherwise, nor a second time."""
    if is_json() and not isinstance(sys.stderr, LineStream):
        take_descriptors()
        take_streams()


def take_descriptors() -> None:
    """Have what is written to descriptors 1 and 2 go through a process that makes objects of its lines."""
    # Not at the top: eventlet has its own of it, for those who import it after patching.
    import subprocess

    if os.environ.get(_SERVED) == str(os.fstat(2).st_ino):
        return
    sys.stdout.flush()
    real = [os.dup(1), os.dup(2)]
    pipes = [os.pipe(), os.pipe()]
    given = [pipes[0][0], real[0], pipes[1][0], real[1]]
    script = Path(__file__).with_name("descriptor_capture.py")
    command = [sys.executable, "-I", "-S", str(script), *map(str, given)]
    nowhere = subprocess.DEVNULL
    helper = subprocess.Popen(
        command, pass_fds=given, stdin=nowhere, stdout=nowhere, stderr=nowhere, cwd="/", start_new_session=True
    )
    helper.returncode = 0  # It ends after this process: nobody waits for it.
    for descriptor, (outlet, inlet) in enumerate(pipes, start=1):
        os.dup2(inlet, descriptor)
        os.close(inlet)
        os.close(outlet)
    os.environ[_SERVED] = str(os.fstat(2).st_ino)
    sys.stdout, sys.stderr = (
        os.fdopen(place, "w", buffering=1, encoding="utf-8", errors="backslashreplace") for place in real
    )


def take_streams() -> None:
    """Put our streams and hooks in the place of Python's own."""
    sys.stdout = sys.__stdout__ = LineStream(sys.stdout, "stdout", logging.INFO)  # type: ignore[misc,assignment]
    sys.stderr = sys.__stderr__ = LineStream(sys.stderr, "stderr", logging.WARNING)  # type: ignore[misc,assignment]
    sys.excepthook = lambda kind, fault, trace: _tell_fault((kind, fault, trace))
    threading.excepthook = _tell_fault_of_thread
    sys.unraisablehook = _tell_unraisable


def take_errors() -> None:
    """Have a command's errors, and not its output, be JSON where logs are and no terminal shows them."""
    if is_json() and not sys.stderr.isatty() and not isinstance(sys.stderr, LineStream):
        sys.stderr = LineStream(sys.stderr, "stderr", logging.WARNING)


@contextmanager
def ending_lines() -> Iterator[None]:
    """Write at the end of the block what this thread has printed without an end of line."""
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            # It may be anybody's, closed or None.
            with suppress(Exception):
                stream.flush()


def find_real(stream: TextIO) -> TextIO:
    """Return the stream behind one of ours, or the stream itself."""
    return stream.real if isinstance(stream, LineStream) else stream


class Arguments(argparse.ArgumentParser):
    """A command line whose errors are one line where logs are JSON."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, with the usage for people only, and end with 2."""
        if not isinstance(sys.stderr, LineStream):
            super().error(message)
        self.exit(2, f"{self.prog}: error: {message}\n")


def shorten(*usage_errors: Any) -> None:
    """Have usage errors of these classes, click's or typer's own, be one line where logs are JSON."""
    if isinstance(sys.stderr, LineStream):
        for kind in usage_errors:
            kind.show = _show_shortly


def _show_shortly(self: Any, file: Any = None) -> None:
    command = self.ctx.command_path if self.ctx is not None else sys.argv[0]
    (file or sys.stderr).write(f"{command}: error: {' '.join(self.format_message().split())}\n")


def is_json() -> bool:
    """Return whether logs are JSON."""
    # Before the settings are read, which may be refused, and in the way that they are read.
    for source in (os.environ, dotenv_values(".env")):
        for key, value in source.items():
            if key.upper() == _NAME and value:
                return value == "json"
    return False


def _tell_fault(raised: _Raised, **more: Any) -> None:
    if logging.getLogger().handlers:
        logging.getLogger(__name__).critical("uncaught_exception", exc_info=raised, extra=more)
    else:
        told = {"exception": "".join(traceback.format_exception(*raised)).rstrip(), **more}
        stream = find_real(sys.stderr)
        stream.write(encode_line("uncaught_exception", __name__, logging.CRITICAL, **told))
        stream.flush()


def _tell_fault_of_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None and not issubclass(args.exc_type, SystemExit):
        thread = args.thread.name if args.thread is not None else None
        _tell_fault((args.exc_type, args.exc_value, args.exc_traceback), of_thread=thread)


def _tell_unraisable(args: Any) -> None:
    if args.exc_value is not None:
        _tell_fault((args.exc_type, args.exc_value, args.exc_traceback), of=repr(args.object))


def encode_line(line: str, name: str, level: int, **more: Any) -> str:
    """Return a line of text as a line of the log."""
    at = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    told = {"event": line, "level": logging.getLevelName(level).lower(), "logger": name, "timestamp": at, **more}
    return orjson.dumps(told).decode() + "\n"
