"""A process that is forked while another thread logs can log itself."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import logging, os, threading
from swallowtail.app.core.logs.setup import configure_logging
from tests.harness.waiting import wait_until
from tests.harness.settings import make_settings

configure_logging(make_settings(log_format="json"), open(os.devnull, "w", buffering=1))
log, ended = logging.getLogger("busy"), threading.Event()

def write():
    while not ended.is_set():
        log.warning("x" * 2000)

writers = [threading.Thread(target=write) for _ in range(2)]
for writer in writers:
    writer.start()
try:
    for _ in range(30):
        child = os.fork()
        if child == 0:
            log.warning("from the child")
            os._exit(0)
        try:
            wait_until(lambda: os.waitpid(child, os.WNOHANG)[0], "the child has logged and ended")
        except BaseException:
            os.kill(child, 9)
            raise
finally:
    ended.set()
"""


def test_a_child_that_is_forked_while_threads_log_can_log() -> None:
    """The kind: a lock that a child inherits from a thread that it does not have."""
    # Python 3.12 and later warn of exactly this.
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", SCRIPT]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert (done.returncode, done.stderr) == (0, "")
