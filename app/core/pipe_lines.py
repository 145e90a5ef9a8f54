"""Writes as JSON what a process's descriptors are given past its streams: by C code, or by programs that it starts.

Beside the road: a process of its own beside each whose logs are JSON, started by `core/raw_lines` as a plain file,
without the application. It ends when nobody holds its pipes any more, so that it also tells how a process crashed.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import sys
from datetime import UTC, datetime

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
    told = {"event": text, "level": level, "logger": name, "timestamp": at}
    return json.dumps(told).encode() + b"\n"


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
