"""A web process raises its limit of open files to what its connections need, and logs when the system forbids it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.service

PROGRAM = """
import json, resource, structlog
from swallowtail.app.web.serving.fd_limit import raise_limit
logged = []
def record(_, __, event):
    logged.append(event)
    raise structlog.DropEvent
structlog.configure(processors=[record])
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
raise_limit({connections})
print(json.dumps([resource.getrlimit(resource.RLIMIT_NOFILE), logged]))
"""


def raise_in_process(soft: int, hard: int, connections: int) -> tuple[list[int], list[dict[str, object]]]:
    """Return the limits and the log of a new process: a hard limit that was lowered cannot be raised again."""
    script = PROGRAM.format(soft=soft, hard=hard, connections=connections)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    limits, logged = json.loads(done.stdout)
    return limits, logged


def test_the_limit_is_raised_to_what_the_connections_need() -> None:
    assert raise_in_process(128, 1024, 500) == ([756, 1024], [])


def test_a_limit_that_suffices_is_left_alone() -> None:
    assert raise_in_process(1000, 1024, 500) == ([1000, 1024], [])


def test_where_the_system_forbids_it_the_highest_limit_is_set_and_the_log_says_how_many_connections_fit() -> None:
    limits, logged = raise_in_process(128, 512, 500)
    assert limits == [512, 512]
    assert logged == [{"connections": 256, "max_connections": 500, "event": "file_limit_low"}]
