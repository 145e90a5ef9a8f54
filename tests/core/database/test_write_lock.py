"""Writers get SQLite's write lock in order of arrival, and one that ended or stopped does not block the others."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from swallowtail.app.core.errors import Unavailable
from tests.core.domain import Domain
from tests.harness.program import ROOT
from tests.harness.waiting import wait_until

NewDomain = Callable[..., Domain]

#: Another process that writes, and says so; it keeps its transaction open until its input ends.
WRITER = """
import sys
from tests.core.domain import Domain
from tests.harness.settings import make_settings
domain = Domain(make_settings(var_dir=sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
with domain.db.write():
    print("writes", flush=True)
    sys.stdin.read()
"""

#: A web process in short: one greenlet waits for its turn, the loop goes on.
LOOP = """
import eventlet
eventlet.monkey_patch()
import sys, time
from tests.core.domain import Domain
from tests.harness.settings import make_settings
domain = Domain(make_settings(var_dir=sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
writer = eventlet.spawn(domain.submit)
for turn in range(50):
    time.sleep(0.002)
print("turns", flush=True)
writer.wait()
print("wrote", flush=True)
"""


def queued(domain: Domain) -> int:
    """Return how many writers have or await the lock of the domain's database."""
    place = domain.settings.var / "swallowtail.db-turns"
    mark = f":{place.stat().st_ino} " if place.exists() else "nobody"
    return sum(mark in line for line in Path("/proc/locks").read_text().splitlines())


def _stand(domain: Domain, count: int) -> bool:
    return queued(domain) == count


def test_waiting_writers_write_in_their_order_of_arrival(new_domain: NewDomain) -> None:
    domains = [new_domain() for _ in range(3)]
    order: list[int] = []

    def write(place: int) -> None:
        with domains[place % 3].db.write():
            order.append(place)

    writers = [threading.Thread(target=write, args=(place,)) for place in range(12)]
    with domains[0].db.write():
        for place, writer in enumerate(writers):
            writer.start()
            wait_until(partial(_stand, domains[0], place + 2), "the writer stands in the queue")
    for writer in writers:
        writer.join()
    assert order == list(range(12))
    assert queued(domains[0]) == 0


def test_a_writer_that_returns_at_once_queues_behind_waiting_writers(new_domain: NewDomain) -> None:
    busy, patient = new_domain(), new_domain()
    first = "00000000-0000-4000-8000-000000000001"
    with busy.db.write():
        waiter = threading.Thread(target=partial(patient.submit, id=first))
        waiter.start()
        wait_until(lambda: queued(busy) == 2, "the other stands in the queue")
    for _ in range(5):
        busy.submit()
    waiter.join()
    assert busy.events()[0].task_id == first


def _start(program: str, domain: Domain) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(domain.settings.var)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    _await_line(process, "ready")
    return process


def _await_line(process: subprocess.Popen[str], word: str) -> None:
    assert process.stdout is not None
    assert process.stdout.readline() == f"{word}\n"


def _tell_to_write(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


@pytest.mark.long
def test_a_writer_that_is_killed_loses_its_turn(new_domain: NewDomain) -> None:
    domain = new_domain()
    killed = _start(WRITER, domain)
    _tell_to_write(killed)
    _await_line(killed, "writes")
    done = threading.Thread(target=domain.submit)
    done.start()
    wait_until(lambda: queued(domain) == 2, "both stand in the queue")
    killed.kill()
    killed.communicate()
    done.join()
    assert domain.story() == ["SUBMITTED"]
    assert queued(domain) == 0


@pytest.mark.long
def test_a_stopped_waiter_does_not_block_the_queue(new_domain: NewDomain) -> None:
    domain = new_domain()
    stopped = _start(WRITER, domain)
    try:
        with domain.db.write():
            _tell_to_write(stopped)
            wait_until(lambda: queued(domain) == 2, "the other stands in the queue")
            stopped.send_signal(signal.SIGSTOP)
        for _ in range(20):
            domain.submit()
        assert queued(domain) == 1
        stopped.send_signal(signal.SIGCONT)
        _await_line(stopped, "writes")
    finally:
        stopped.send_signal(signal.SIGCONT)
        stopped.communicate()
    assert domain.story() == ["SUBMITTED"] * 20


@pytest.mark.long
def test_a_web_process_serves_while_one_of_its_writes_waits(new_domain: NewDomain) -> None:
    domain = new_domain()
    web = _start(LOOP, domain)
    with domain.db.write():
        _tell_to_write(web)
        _await_line(web, "turns")
    _await_line(web, "wrote")
    web.communicate()
    assert domain.story() == ["SUBMITTED"]


def test_a_writer_stops_waiting_at_its_deadline(new_domain: NewDomain) -> None:
    domain, other = new_domain(), new_domain(database_wait=0.05)
    with domain.db.write(), pytest.raises(Unavailable):
        other.submit()
    assert domain.story() == []


def test_without_a_lock_file_there_is_no_queue(new_domain: NewDomain) -> None:
    domain = new_domain()
    place = domain.settings.var / "swallowtail.db-turns"
    place.unlink()
    place.mkdir()
    domain.submit()
    assert domain.story() == ["SUBMITTED"]


def test_without_file_locks_there_is_no_queue(new_domain: NewDomain, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(37, "no locks available")

    domain = new_domain()
    monkeypatch.setattr("swallowtail.app.core.database.write_lock.fcntl.fcntl", refuse)
    domain.submit()
    assert domain.story() == ["SUBMITTED"]
