"""A process that was asked to end: it ends, and says so when it had to be made to."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

pytestmark = pytest.mark.unit

PROGRAM = """
import sys, time
from swallowtail.app.web.serving.shutdown_signals import catch_signals

stopping = []
catch_signals(stopping, {last_moment})
print("ready", flush=True)
while not stopping:
    time.sleep(0.01)
print("asked", flush=True)
{then}
"""


def start(then: str, last_moment: float = 100.0) -> subprocess.Popen[str]:
    program = PROGRAM.format(then=then, last_moment=last_moment)
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    assert process.stdout.readline() == "asked\n"
    return process


def test_one_that_ends_says_nothing() -> None:
    with start("sys.exit(0)") as process:
        _, said = process.communicate()
    assert (process.returncode, said) == (0, "")


def test_one_that_does_not_end_is_ended_and_says_so() -> None:
    with start("time.sleep(300)", last_moment=0.2) as process:
        _, said = process.communicate()
    assert (process.returncode, said) == (0, "the process did not end within 0.2 s and is ended\n")


def test_one_that_is_asked_twice_ends_at_once() -> None:
    with start("time.sleep(300)") as process:
        process.send_signal(signal.SIGTERM)
        process.communicate()
    assert process.returncode == 128 + signal.SIGTERM
