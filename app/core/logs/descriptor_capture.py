"""Writes as JSON what a process's descriptors are given past its streams: by C code, or by programs that it starts.

Secrets are hidden by their shape, as in other lines of the log (`core/privacy/secret_patterns`).

Beside the road: a process of its own beside each whose logs are JSON, started by `core/logs/unlogged_output` as a plain file,
without the application. It ends when nobody holds its pipes any more, so that it also tells how a process crashed.
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

#: A line without an end is written in pieces of this many bytes.
LONGEST = 65_536


def encode(line: bytes, name: str, level: str) -> bytes:
    """Return a line of the log; one that is an object already, as it is."""
    text = line.decode(errors="replace").rstrip("\r")
    if text.startswith("{"):
        try:
            if isinstance(json.loads(text), dict):
                return line + b"\n"
        except (ValueError, RecursionError):
            pass
    at = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    told = {"event": hide(text), "level": level, "logger": name, "timestamp": at}
    return json.dumps(told).encode() + b"\n"


def hide(text: str) -> str:
    """Return a line without what looks like a secret."""
    patterns = load_patterns()
    folded, parts, done = patterns.fold(text), list[str](), 0
    spans = [span for pattern in patterns.PATTERNS for span in patterns.find(pattern, text, folded)]
    for span in sorted(spans, key=lambda one: (one.start, -one.end)):
        if span.start >= done:
            parts += [text[done : span.start], f"[redacted:{span.kind}]"]
        done = max(done, span.end)
    return "".join([*parts, text[done:]])


@cache
def load_patterns() -> Any:
    """Return the module that knows what secrets look like, which needs nothing of the application."""
    spec = importlib.util.spec_from_file_location(
        "secret_patterns", Path(__file__).parents[1] / "privacy" / "secret_patterns.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["secret_patterns"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write(place: int, data: bytes) -> None:
    """Write all of it."""
    while data:
        data = data[os.write(place, data) :]


def pump(pipes: dict[int, tuple[int, str, str]]) -> None:
    """Write what comes through each pipe to its place (descriptor, logger, level), until all are closed."""
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
                place, name, level = pipes[key.fd]
                write(place, b"".join(encode(line, name, level) for line in lines if line.strip()))
                if not data:
                    selector.unregister(key.fd)


def main() -> None:
    """Serve the pipes that this process was started with, as its arguments: two for output, two for errors."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    output, output_place, errors, errors_place = map(int, sys.argv[1:])
    try:
        pump({output: (output_place, "stdout", "info"), errors: (errors_place, "stderr", "warning")})
    except OSError:
        sys.exit(1)  # Nobody reads the log any more.


if __name__ == "__main__":
    main()
