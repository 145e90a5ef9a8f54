"""Turns at SQLite's write lock: who asks first writes first, and nobody who is gone or stopped holds the others up."""

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

from app.core.errors import Unavailable
from tests.core.stage import Stage
from tests.harness.program import ROOT
from tests.harness.waiting import wait_until

NewStage = Callable[..., Stage]

#: Another process that writes, and says so; it keeps its transaction open until its input ends.
WRITER = """
import sys
from tests.core.stage import Stage, make_settings
stage = Stage(make_settings(var_dir=sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
with stage.db.write():
    print("writes", flush=True)
    sys.stdin.read()
"""

#: A web process in short: one greenlet waits for its turn, the loop goes on.
LOOP = """
import eventlet
eventlet.monkey_patch()
import sys, time
from tests.core.stage import Stage, make_settings
stage = Stage(make_settings(var_dir=sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
writer = eventlet.spawn(stage.submit)
for turn in range(50):
    time.sleep(0.002)
print("turns", flush=True)
writer.wait()
print("wrote", flush=True)
"""


def queued(stage: Stage) -> int:
    """How many hold or wait for the turn at the stage's database."""
    place = stage.settings.var / "swallowtail.db-turns"
    mark = f":{place.stat().st_ino} " if place.exists() else "nobody"
    return sum(mark in line for line in Path("/proc/locks").read_text().splitlines())


def _stand(stage: Stage, count: int) -> bool:
    return queued(stage) == count


def test_those_who_wait_write_in_the_order_in_which_they_asked(new_stage: NewStage) -> None:
    stages = [new_stage() for _ in range(3)]
    order: list[int] = []

    def write(place: int) -> None:
        with stages[place % 3].db.write():
            order.append(place)

    writers = [threading.Thread(target=write, args=(place,)) for place in range(12)]
    with stages[0].db.write():
        for place, writer in enumerate(writers):
            writer.start()
            wait_until(partial(_stand, stages[0], place + 2), "the writer stands in the queue")
    for writer in writers:
        writer.join()
    assert order == list(range(12))
    assert queued(stages[0]) == 0


def test_a_writer_that_comes_back_at_once_waits_behind_those_who_waited(new_stage: NewStage) -> None:
    busy, patient = new_stage(), new_stage()
    first = "00000000-0000-4000-8000-000000000001"
    with busy.db.write():
        waiter = threading.Thread(target=partial(patient.submit, id=first))
        waiter.start()
        wait_until(lambda: queued(busy) == 2, "the other stands in the queue")
    for _ in range(5):
        busy.submit()
    waiter.join()
    assert busy.events()[0].task_id == first


def _start(program: str, stage: Stage) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(stage.settings.var)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    _hear(process, "ready")
    return process


def _hear(process: subprocess.Popen[str], word: str) -> None:
    assert process.stdout is not None
    assert process.stdout.readline() == f"{word}\n"


def _tell_to_write(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


@pytest.mark.long
def test_a_writer_that_is_killed_loses_its_turn(new_stage: NewStage) -> None:
    stage = new_stage()
    killed = _start(WRITER, stage)
    _tell_to_write(killed)
    _hear(killed, "writes")
    done = threading.Thread(target=stage.submit)
    done.start()
    wait_until(lambda: queued(stage) == 2, "both stand in the queue")
    killed.kill()
    killed.communicate()
    done.join()
    assert stage.story() == ["SUBMITTED"]
    assert queued(stage) == 0


@pytest.mark.long
def test_one_that_is_stopped_while_it_waits_holds_nobody_up(new_stage: NewStage) -> None:
    stage = new_stage()
    stopped = _start(WRITER, stage)
    try:
        with stage.db.write():
            _tell_to_write(stopped)
            wait_until(lambda: queued(stage) == 2, "the other stands in the queue")
            stopped.send_signal(signal.SIGSTOP)
        for _ in range(20):
            stage.submit()
        assert queued(stage) == 1
        stopped.send_signal(signal.SIGCONT)
        _hear(stopped, "writes")
    finally:
        stopped.send_signal(signal.SIGCONT)
        stopped.communicate()
    assert stage.story() == ["SUBMITTED"] * 20


@pytest.mark.long
def test_a_web_process_goes_on_while_one_of_its_writes_waits_for_its_turn(new_stage: NewStage) -> None:
    stage = new_stage()
    web = _start(LOOP, stage)
    with stage.db.write():
        _tell_to_write(web)
        _hear(web, "turns")
    _hear(web, "wrote")
    web.communicate()
    assert stage.story() == ["SUBMITTED"]


def test_whoever_has_waited_long_enough_is_told(new_stage: NewStage) -> None:
    stage, other = new_stage(), new_stage(database_wait=0.05)
    with stage.db.write(), pytest.raises(Unavailable):
        other.submit()
    assert stage.story() == []


def test_a_queue_that_cannot_be_kept_is_none(new_stage: NewStage) -> None:
    stage = new_stage()
    place = stage.settings.var / "swallowtail.db-turns"
    place.unlink()
    place.mkdir()
    stage.submit()
    assert stage.story() == ["SUBMITTED"]


def test_locks_that_a_file_system_does_not_keep_are_none(new_stage: NewStage, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(37, "no locks available")

    stage = new_stage()
    monkeypatch.setattr("app.core.turns.fcntl.fcntl", refuse)
    stage.submit()
    assert stage.story() == ["SUBMITTED"]
