"""Turns the output of C code and child processes, on descriptors 1 and 2, into JSON log lines, in its own process.

`core/logs/unlogged_output` starts it as a plain file without the application. It ends when the last writer of its pipes
has ended, so that it also logs how a process crashed. Secrets are hidden by their patterns (`core/privacy`).
"""

from __future__ import annotations

import importlib.util
import json
import os
import selectors
import signal
import sys
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

#: Longer lines are written in pieces of this many bytes.
LONGEST = 65_536


def encode(line: bytes, name: str, level: str) -> bytes:
    """Return a line as a JSON log line; one that is a JSON object already stays unchanged."""
    text = line.decode(errors="replace").rstrip("\r")
    if text.startswith("{"):
        try:
            if isinstance(json.loads(text), dict):
                return line + b"\n"
        except (ValueError, RecursionError):
            pass
    at = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    entry = {"event": hide(text), "level": level, "logger": name, "timestamp": at}
    return json.dumps(entry).encode() + b"\n"


def hide(text: str) -> str:
    """Return a line with its secrets replaced by markers."""
    patterns = load_patterns()
    folded = patterns.fold(text)
    spans = (span for pattern in patterns.PATTERNS for span in patterns.find(pattern, text, folded))
    hidden: str = patterns.replace(text, patterns.merge(spans))
    return hidden


@cache
def load_patterns() -> Any:
    """Return the module of the patterns, which imports nothing of the application."""
    spec = importlib.util.spec_from_file_location(
        "secret_patterns", Path(__file__).parents[1] / "privacy" / "secret_patterns.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["secret_patterns"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write(descriptor: int, data: bytes) -> None:
    """Write all data to a descriptor."""
    while data:
        data = data[os.write(descriptor, data) :]


def copy_lines(pipes: dict[int, tuple[int, str, str]]) -> None:
    """Write the lines of each pipe to its target (descriptor, logger, level) until all pipes are closed."""
    rest = dict.fromkeys(pipes, b"")
    with selectors.DefaultSelector() as selector:
        for pipe in pipes:
            selector.register(pipe, selectors.EVENT_READ)
        while selector.get_map():
            for key, _ in selector.select():
                data = os.read(key.fd, LONGEST)
                *lines, left = (rest[key.fd] + data).split(b"\n")
                if left and (not data or len(left) > LONGEST):
                    lines, left = [*lines, left], b""
                rest[key.fd] = left
                target, name, level = pipes[key.fd]
                write(target, b"".join(encode(line, name, level) for line in lines if line.strip()))
                if not data:
                    selector.unregister(key.fd)


def main() -> None:
    """Read the pipes whose descriptors are the arguments: pipe and target of output, then of errors."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    output, output_target, errors, errors_target = map(int, sys.argv[1:])
    try:
        copy_lines({output: (output_target, "stdout", "info"), errors: (errors_target, "stderr", "warning")})
    except OSError:
        sys.exit(1)  # The reader of the log has ended.


if __name__ == "__main__":
    main()
