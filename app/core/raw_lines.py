"""Lines that nobody logged: what is printed, warned of or raised to nobody, as JSON where logs are. Beside the road.

`begin` is the first deed of a process's `main`. It puts streams of ours in the place of standard output and standard
error; `core/logs` then has their lines go through logging, where secrets are hidden. What C code writes by itself, such
as a crash of the interpreter, comes as it is.
"""

from __future__ import annotations

import io
import logging
import os
import sys
import threading
from contextvars import ContextVar
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, TextIO

import orjson
from dotenv import dotenv_values

_NAME = "SWALLOWTAIL_LOG_FORMAT"
_Raised = tuple[type[BaseException], BaseException, TracebackType | None]


class LineStream(io.TextIOBase):
    """Takes text as a standard stream does, and writes each line of it to `real` as one JSON object."""

    def __init__(self, real: TextIO, name: str, level: int) -> None:
        self.real = real
        self._log = logging.getLogger(name)
        # Shown whatever the level of the rest: whoever prints does not ask for it.
        self._log.setLevel(level)
        self._level = level
        # Not local to a thread: eventlet's own kind of that is gone when the interpreter ends and flushes this.
        self._rest: ContextVar[str] = ContextVar("rest", default="")
        self._busy: ContextVar[bool] = ContextVar("busy", default=False)

    def write(self, text: str) -> int:
        """Take text; what has no end of line yet waits for it."""
        if not isinstance(text, str):
            raise TypeError("this is a stream of text")
        *lines, rest = (self._rest.get() + text).split("\n")
        self._rest.set(rest)
        for line in lines:
            self._tell(line)
        return len(text)

    def flush(self) -> None:
        """Write also what has no end of line."""
        rest = self._rest.get()
        self._rest.set("")
        self._tell(rest)

    def writable(self) -> bool:
        """Say that this is for writing."""
        return True

    def fileno(self) -> int:
        """Return the real stream's, for those who hand it to others."""
        return self.real.fileno()

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
    if _is_json() and not isinstance(sys.stderr, LineStream):
        take_streams()


def take_streams() -> None:
    """Put our streams and hooks in the place of Python's own."""
    sys.stdout = sys.__stdout__ = LineStream(sys.stdout, "stdout", logging.INFO)  # type: ignore[misc,assignment]
    sys.stderr = sys.__stderr__ = LineStream(sys.stderr, "stderr", logging.WARNING)  # type: ignore[misc,assignment]
    logging.captureWarnings(True)
    sys.excepthook = lambda kind, fault, trace: _tell_fault((kind, fault, trace))
    threading.excepthook = _tell_fault_of_thread
    sys.unraisablehook = _tell_unraisable


def find_real(stream: TextIO) -> TextIO:
    """Return the stream behind one of ours, or the stream itself."""
    return stream.real if isinstance(stream, LineStream) else stream


def _is_json() -> bool:
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
        sys.__excepthook__(*raised)


def _tell_fault_of_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None and not issubclass(args.exc_type, SystemExit):
        thread = args.thread.name if args.thread is not None else None
        _tell_fault((args.exc_type, args.exc_value, args.exc_traceback), of_thread=thread)


def _tell_unraisable(args: Any) -> None:
    if args.exc_value is not None:
        _tell_fault((args.exc_type, args.exc_value, args.exc_traceback), of=repr(args.object))


def encode_line(line: str, name: str, level: int) -> str:
    """Return a line of text as a line of the log."""
    at = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    told = {"event": line, "level": logging.getLevelName(level).lower(), "logger": name, "timestamp": at}
    return orjson.dumps(told).decode() + "\n"
