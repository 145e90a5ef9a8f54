"""The process in which a document is read. Off the road of an event: `apart` starts it, and it knows nothing of ours.

It takes the document on standard input and answers one JSON object. Its processor time and memory are limited before it
looks at a byte, so that no document can hold up or fill the worker that waits for it.
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
    """Read one document as the JSON in the first argument says, and write what it is to standard output."""
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
    if sys.platform != "darwin":  # where it cannot be set
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))


if __name__ == "__main__":
    main(sys.argv[1:])
