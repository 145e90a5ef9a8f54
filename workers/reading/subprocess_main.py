"""Reads one document in a process of its own, with limits on processor time and memory.

`subprocess_reader` starts it. It receives the document on standard input and writes one JSON object. The limits are set
before the document is read, so that no document can block or fill the worker that waits for it.
"""

from __future__ import annotations

import json
import resource
import sys
from dataclasses import asdict
from typing import Any

from swallowtail.workers.reading.blocks import Bounds, UnreadableError
from swallowtail.workers.reading.reader import read


def main(arguments: list[str]) -> None:
    """Read one document with the options in the first argument, and write the result to standard output."""
    asked: dict[str, Any] = json.loads(arguments[0])
    _limit(int(asked["cpu_seconds"]), int(asked["memory_bytes"]))
    try:
        bounds = Bounds(int(asked["characters"]), int(asked["unpacked_bytes"]))
        reading = read(sys.stdin.buffer.read(), asked["media_type"], asked["charset"], asked["name"], bounds)
        answer = asdict(reading)
    except UnreadableError as problem:
        answer = {"unreadable": str(problem)}
    except MemoryError:
        answer = {"unreadable": f"reading it takes more than {asked['memory_bytes']} bytes of memory"}
    except RecursionError:
        answer = {"unreadable": "it is nested too deeply"}
    sys.stdout.write(json.dumps(answer))


def _limit(cpu_seconds: int, memory_bytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + 1))
    if sys.platform != "darwin":  # not supported on this system
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))


if __name__ == "__main__":
    main(sys.argv[1:])
