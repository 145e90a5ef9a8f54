"""Turns output that bypasses the logger into JSON log lines: prints, warnings and uncaught exceptions.

`begin` is the first call of each `main`. It replaces standard output and standard error by streams whose lines go
through logging, where secrets are hidden. Direct output to the descriptors, from C code, a crash or a child process,
goes through a pipe to `core/logs/descriptor_capture`.
"""

from __future__ import annotations

import argparse
import io
import logging
import os
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, TextIO

import orjson

from swallowtail.app.core.config.environment import parse_env_text

_NAME = "SWALLOWTAIL_LOG_FORMAT"
#: Variable that names, for child processes, the pipe that is served already.
_SERVED = "LINES_OF_PIPE"
_Raised = tuple[type[BaseException], BaseException, TracebackType | None]

#: Longest line in characters; a longer one is written in pieces.
_LONGEST = 8192


class LineStream(io.TextIOBase):
    """A text stream that writes each line to `real` as one JSON object."""

    def __init__(self, real: TextIO, name: str, level: int) -> None:
        self.real = real
        self._log = logging.getLogger(name)
        # Printed lines are shown at any log level.
        self._log.setLevel(level)
        self._level = level
        self._descriptor = 1 if name == "stdout" else 2
        # By thread or greenlet. Not a ContextVar: a coroutine's context ends before its line. Not `threading.local`:
        # eventlet's version is gone when the interpreter flushes this stream at its end.
        self._rests: dict[int, str] = {}
        self._busy: ContextVar[bool] = ContextVar("busy", default=False)

    def write(self, text: str) -> int:
        """Write the complete lines of `text`; the rest waits for its end of line."""
        if not isinstance(text, str):
            raise TypeError("this is a stream of text")
        *lines, rest = (self._take_rest() + text).split("\n")
        if len(rest) > _LONGEST:
            # Text without an end of line, such as progress dots, must not be copied at each write.
            lines, rest = [*lines, rest], ""
        if rest:
            self._rests[threading.get_ident()] = rest
        for line in lines:
            self._log_line(line)
        return len(text)

    def flush(self) -> None:
        """Write the unfinished line of this thread."""
        self._log_line(self._take_rest())

    def writable(self) -> bool:
        """Return that this stream is writable."""
        return True

    def fileno(self) -> int:
        """Return the descriptor for child processes; their output becomes JSON too."""
        return self._descriptor

    def _take_rest(self) -> str:
        return self._rests.pop(threading.get_ident(), "")

    def _log_line(self, line: str) -> None:
        if not line.strip():
            return
        if not logging.getLogger().handlers or self._busy.get():
            # Before logging is set up, or while logging itself reports an error.
            self.real.write(encode_line(line, self._log.name, self._level))
            self.real.flush()
            return
        self._busy.set(True)
        try:
            self._log.log(self._level, "%s", line)
        finally:
            self._busy.set(False)


def begin() -> None:
    """Make every line of this process JSON, if the setting requires it. A second call does nothing."""
    if is_json() and not isinstance(sys.stderr, LineStream):
        capture_descriptors()
        capture_streams()


def capture_descriptors() -> None:
    """Redirect descriptors 1 and 2 to a process that turns lines into JSON."""
    # Not at the top: eventlet patches it, and it must be imported after that.
    import subprocess

    if os.environ.get(_SERVED) == str(os.fstat(2).st_ino):
        return
    sys.stdout.flush()
    real = [os.dup(1), os.dup(2)]
    pipes = [os.pipe(), os.pipe()]
    descriptors = [pipes[0][0], real[0], pipes[1][0], real[1]]
    script = Path(__file__).with_name("descriptor_capture.py")
    command = [sys.executable, "-I", "-S", str(script), *map(str, descriptors)]
    nowhere = subprocess.DEVNULL
    helper = subprocess.Popen(
        command, pass_fds=descriptors, stdin=nowhere, stdout=nowhere, stderr=nowhere, cwd="/", start_new_session=True
    )
    helper.returncode = 0  # It outlives this process: no one waits for it.
    for descriptor, (reader, writer) in enumerate(pipes, start=1):
        os.dup2(writer, descriptor)
        os.close(writer)
        os.close(reader)
    os.environ[_SERVED] = str(os.fstat(2).st_ino)
    sys.stdout, sys.stderr = (
        os.fdopen(target, "w", buffering=1, encoding="utf-8", errors="backslashreplace") for target in real
    )


def capture_streams() -> None:
    """Replace Python's streams and hooks by ours."""
    sys.stdout = sys.__stdout__ = LineStream(sys.stdout, "stdout", logging.INFO)  # type: ignore[misc,assignment]
    sys.stderr = sys.__stderr__ = LineStream(sys.stderr, "stderr", logging.WARNING)  # type: ignore[misc,assignment]
    sys.excepthook = lambda kind, fault, trace: _report_error((kind, fault, trace))
    threading.excepthook = _report_thread_error
    sys.unraisablehook = _report_unraisable


def capture_errors() -> None:
    """Make the errors of a command JSON, not its output, unless a terminal shows them."""
    if is_json() and not sys.stderr.isatty() and not isinstance(sys.stderr, LineStream):
        sys.stderr = LineStream(sys.stderr, "stderr", logging.WARNING)


@contextmanager
def ending_lines() -> Iterator[None]:
    """Write the unfinished line of this thread at the end of the block."""
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            # The stream may be replaced, closed or None.
            with suppress(Exception):
                stream.flush()


def find_real(stream: TextIO) -> TextIO:
    """Return the stream behind one of ours, or the stream itself."""
    return stream.real if isinstance(stream, LineStream) else stream


class Arguments(argparse.ArgumentParser):
    """An argument parser that reports errors in one line if logs are JSON."""

    def error(self, message: str) -> NoReturn:
        """Print the error, with the usage on terminals only, and exit with 2."""
        if not isinstance(sys.stderr, LineStream):
            super().error(message)
        self.exit(2, f"{self.prog}: error: {message}\n")


def shorten(*usage_errors: Any) -> None:
    """Make usage errors of these classes of click or typer one line where logs are JSON."""
    if isinstance(sys.stderr, LineStream):
        for kind in usage_errors:
            kind.show = _show_shortly


def _show_shortly(self: Any, file: Any = None) -> None:
    command = self.ctx.command_path if self.ctx is not None else sys.argv[0]
    (file or sys.stderr).write(f"{command}: error: {' '.join(self.format_message().split())}\n")


def is_json() -> bool:
    """Return whether logs are JSON."""
    # Before the settings are read, which may fail, and in the same way.
    for source in (os.environ, peek_env_file()):
        for key, value in source.items():
            if key.upper() == _NAME and value:
                return value == "json"
    return False


def peek_env_file() -> Mapping[str, str | None]:
    """Return the variables of `.env`, none if it cannot be read: the settings report that."""
    try:
        return parse_env_text(Path(".env").read_text(encoding="utf-8-sig"))[0]
    except (OSError, UnicodeDecodeError):
        return {}


def _report_error(raised: _Raised, **more: Any) -> None:
    if logging.getLogger().handlers:
        logging.getLogger(__name__).critical("uncaught_exception", exc_info=raised, extra=more)
    else:
        details = {"exception": "".join(traceback.format_exception(*raised)).rstrip(), **more}
        stream = find_real(sys.stderr)
        stream.write(encode_line("uncaught_exception", __name__, logging.CRITICAL, **details))
        stream.flush()


def _report_thread_error(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None and not issubclass(args.exc_type, SystemExit):
        thread = args.thread.name if args.thread is not None else None
        _report_error((args.exc_type, args.exc_value, args.exc_traceback), of_thread=thread)


def _report_unraisable(args: Any) -> None:
    if args.exc_value is not None:
        _report_error((args.exc_type, args.exc_value, args.exc_traceback), of=repr(args.object))


def encode_line(line: str, name: str, level: int, **more: Any) -> str:
    """Return a line of text as a JSON log line."""
    at = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    entry = {"event": line, "level": logging.getLevelName(level).lower(), "logger": name, "timestamp": at, **more}
    return orjson.dumps(entry).decode() + "\n"
