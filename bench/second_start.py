"""Measures how long a second `scripts/up` takes until a request is served. The goal is 5 seconds on two idle cores.

Run `python bench/second_start.py` in the virtual environment, on a machine without other load. It starts Swallowtail in
a new directory, once to prepare it and then as often as requested, and prints a line for each start.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from swallowtail.scripts.processes.free_ports import find_port

ROOT = Path(__file__).resolve().parents[1]
GOAL = 5.0


def main() -> None:
    """Measure; the exit code is 1 if the median misses the goal."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--times", type=int, default=5, help="starts to measure")
    times = parser.parse_args().times
    with tempfile.TemporaryDirectory(prefix="swallowtail-", dir="/tmp") as var:
        start_once(Path(var))
        seconds = sorted(start_once(Path(var)) for _ in range(times))
    median = seconds[len(seconds) // 2]
    print(f"median of {times}: {median:.2f} s (goal: {GOAL:g} s)")
    sys.exit(median > GOAL)


def start_once(var: Path) -> float:
    """Start, wait for the first served request, stop; return the seconds from the start to the answer."""
    port = find_port()
    env = {**os.environ, "SWALLOWTAIL_VAR_DIR": str(var), "SWALLOWTAIL_PORT": str(port)}
    began = time.perf_counter()
    with (var / "up.log").open("wb") as log:
        process = subprocess.Popen([ROOT / "scripts/up"], env=env, stdout=log, stderr=log, start_new_session=True)
    try:
        while not answers(f"http://127.0.0.1:{port}/"):
            if process.poll() is not None:
                sys.exit(f"scripts/up ended:\n{(var / 'up.log').read_text()}")
            time.sleep(0.01)
        seconds = time.perf_counter() - began
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()
    print(f"{seconds:.2f} s", flush=True)
    return seconds


def answers(url: str) -> bool:
    """Return whether a GET is answered, with any status."""
    try:
        urllib.request.urlopen(url, timeout=5).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


if __name__ == "__main__":
    main()
