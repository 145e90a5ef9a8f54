"""Which leases a lease keeper extends and which runs it ends, with a ledger that answers as the test sets."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from swallowtail.app.core.errors import LeaseLost
from swallowtail.app.core.ledger.claims import Claim
from swallowtail.app.core.ledger.runs import LeaseState
from swallowtail.app.core.states import TaskStatus
from swallowtail.workers.lease_keeper import LeaseKeeper, is_alive
from swallowtail.workers.run.shared_memory import RunIdentity, SharedMemory
from tests.harness.settings import make_settings
from tests.harness.waiting import PATIENCE, wait_until

RUN = RunIdentity(os.getpid(), "task", "token")


@dataclass
class FakeWriter:
    """A ledger that answers every heartbeat with `answer` and records the calls."""

    answer: LeaseState = field(default_factory=lambda: LeaseState(alive=True, cancel_requested=False))
    calls: list[tuple[str, str, str]] = field(default_factory=list)

    def heartbeat(self, claim: Claim, progress: float, message: str) -> LeaseState:
        assert (progress, message) == (0.0, "")
        self.calls.append(("heartbeat", claim.task_id, claim.token))
        return self.answer

    def cancelled(self, claim: Claim) -> TaskStatus:
        if not self.answer.alive:
            raise LeaseLost
        self.calls.append(("cancelled", claim.task_id, claim.token))
        return TaskStatus.CANCELLED

    def retry_later(self, claim: Claim, error: dict[str, Any], delay: float) -> TaskStatus:
        self.calls.append((error["code"], claim.task_id, claim.token))
        return TaskStatus.RETRYING


@dataclass
class KeptRun:
    """One run in shared memory with a lease keeper; `ended` are the processes that the keeper ended."""

    memory: SharedMemory
    writer: FakeWriter
    keeper: LeaseKeeper
    ended: list[int]

    def check_until(self, reached: Callable[[], bool], what: str) -> None:
        """Let the keeper check until the condition holds."""

        def check() -> bool:
            self.keeper.check_runs()
            return reached()

        wait_until(check, what)


MakeKeptRun = Callable[..., KeptRun]


@pytest.fixture
def make_kept_run() -> MakeKeptRun:
    def make(run: RunIdentity = RUN, *, heartbeat: float = 0.01, grace: float = 3600.0) -> KeptRun:
        settings = make_settings(
            lease_seconds=3600,
            heartbeat_seconds=heartbeat,
            cancel_grace=grace,
            shutdown_grace=grace,
        )
        memory, writer, ended = SharedMemory(), FakeWriter(), list[int]()
        keeper = LeaseKeeper(memory, writer, settings, end=ended.append)
        memory.slot(0).open(run)
        return KeptRun(memory, writer, keeper, ended)

    return make


def test_the_lease_of_a_run_that_writes_heartbeats_is_left_alone(make_kept_run: MakeKeptRun) -> None:
    kept_run = make_kept_run(heartbeat=600)
    kept_run.keeper.check_runs()
    assert kept_run.writer.calls == []


def test_the_lease_of_a_silent_run_is_extended_and_the_run_can_read_that(make_kept_run: MakeKeptRun) -> None:
    kept_run = make_kept_run()
    began = time.monotonic()
    kept_run.check_until(lambda: bool(kept_run.writer.calls), "the lease is extended")
    assert kept_run.writer.calls == [("heartbeat", "task", "token")]
    assert kept_run.memory.slot(0).last_extension >= began


def test_a_lease_keeper_checks_until_it_is_stopped(make_kept_run: MakeKeptRun) -> None:
    """Its thread went on while the process closed the database."""
    kept_run = make_kept_run()
    kept_run.keeper.start()
    wait_until(lambda: kept_run.writer.calls, "the lease is extended")
    assert "lease_keeper" in {thread.name for thread in threading.enumerate()}
    kept_run.keeper.stop(PATIENCE)
    assert "lease_keeper" not in {thread.name for thread in threading.enumerate()}


def test_the_lease_of_a_run_that_is_over_is_not_extended(make_kept_run: MakeKeptRun) -> None:
    kept_run = make_kept_run()
    kept_run.memory.slot(0).close()
    time.sleep(0.05)
    kept_run.keeper.check_runs()
    assert kept_run.writer.calls == []


def test_the_lease_of_a_run_without_a_process_is_not_extended(make_kept_run: MakeKeptRun) -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    wait_until(lambda: not is_alive(process.pid), "it is a zombie")
    kept_run = make_kept_run(RunIdentity(process.pid, "task", "token"))
    time.sleep(0.05)
    kept_run.keeper.check_runs()
    assert kept_run.writer.calls == []
    process.wait()
    assert not is_alive(process.pid)


@pytest.mark.parametrize(
    ("alive", "cancelled", "stopping", "written"),
    [
        (True, True, False, ["cancelled"]),
        (True, False, True, ["worker_stopped"]),
        (True, True, True, ["cancelled"]),
        (False, False, False, []),
    ],
)
def test_a_run_that_has_to_end_and_does_not_react_is_ended(
    make_kept_run: MakeKeptRun, alive: bool, cancelled: bool, stopping: bool, written: list[str]
) -> None:
    kept_run = make_kept_run(grace=0.1)
    kept_run.writer.answer = LeaseState(alive=alive, cancel_requested=cancelled)
    if stopping:
        kept_run.memory.announce_stop()
    kept_run.check_until(lambda: bool(kept_run.ended), "the process is ended")
    assert [what for what, _, _ in kept_run.writer.calls if what != "heartbeat"] == written
    assert kept_run.ended == [RUN.pid]


def test_a_run_that_has_to_end_gets_its_grace(make_kept_run: MakeKeptRun) -> None:
    kept_run = make_kept_run()
    kept_run.writer.answer = LeaseState(alive=True, cancel_requested=True)
    kept_run.check_until(lambda: len(kept_run.writer.calls) > 2, "it was checked again")
    assert kept_run.ended == []


def test_the_grace_of_a_stop_counts_from_its_announcement(make_kept_run: MakeKeptRun) -> None:
    kept_run = make_kept_run(grace=600.0)
    kept_run.memory.numbers[0] = time.monotonic() - 1100
    kept_run.check_until(lambda: len(kept_run.writer.calls) > 2, "it was checked again")
    assert kept_run.ended == []
    kept_run.memory.numbers[0] = time.monotonic() - 1300
    kept_run.check_until(lambda: bool(kept_run.ended), "the process is ended")


def test_two_mappings_of_one_descriptor_share_their_memory() -> None:
    first = SharedMemory()
    second = SharedMemory(first.descriptor)
    first.slot(3).open(RUN)
    first.announce_stop()
    assert second.is_stopping
    assert [slot.read() for slot in second.open_slots()] == [RUN]
