"""A process that gets a signal ends, and reports when it had to be ended by force."""

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
catch_signals(stopping, {shutdown_seconds})
print("ready", flush=True)
while not stopping:
    time.sleep(0.01)
print("signalled", flush=True)
{then}
"""


def start(then: str, shutdown_seconds: float = 100.0) -> subprocess.Popen[str]:
    program = PROGRAM.format(then=then, shutdown_seconds=shutdown_seconds)
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    assert process.stdout.readline() == "signalled\n"
    return process


def test_a_process_that_ends_in_time_reports_nothing() -> None:
    with start("sys.exit(0)") as process:
        _, output = process.communicate()
    assert (process.returncode, output) == (0, "")


def test_a_process_that_does_not_end_is_ended_and_reports_it() -> None:
    with start("time.sleep(300)", shutdown_seconds=0.2) as process:
        _, output = process.communicate()
    assert (process.returncode, output) == (0, "the process did not end within 0.2 s and is ended\n")


def test_a_second_signal_ends_the_process_at_once() -> None:
    with start("time.sleep(300)") as process:
        process.send_signal(signal.SIGTERM)
        process.communicate()
    assert process.returncode == 128 + signal.SIGTERM
