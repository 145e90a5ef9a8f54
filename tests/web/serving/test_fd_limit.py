"""A web process may open as many files as its connections need, and says so when the system forbids it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.service

TELL = """
import json, resource, structlog
from swallowtail.app.web.serving.fd_limit import raise_limit
said = []
structlog.configure(processors=[lambda _, __, event: said.append(event) or (_ for _ in ()).throw(structlog.DropEvent)])
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
raise_limit({connections})
print(json.dumps([resource.getrlimit(resource.RLIMIT_NOFILE), said]))
"""


def raised(soft: int, hard: int, connections: int) -> tuple[list[int], list[dict[str, object]]]:
    """The limits afterwards and what was logged, of a process of its own: a hard limit never rises again."""
    script = TELL.format(soft=soft, hard=hard, connections=connections)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    limits, said = json.loads(done.stdout)
    return limits, said


def test_the_limit_is_raised_to_what_the_connections_need() -> None:
    assert raised(128, 1024, 500) == ([756, 1024], [])


def test_a_limit_that_suffices_is_left_alone() -> None:
    assert raised(1000, 1024, 500) == ([1000, 1024], [])


def test_where_the_system_forbids_it_all_that_is_allowed_is_taken_and_the_log_says_how_many_fit() -> None:
    limits, said = raised(128, 512, 500)
    assert limits == [512, 512]
    assert said == [{"connections": 256, "max_connections": 500, "event": "descriptors_scarce"}]
