"""Who is kept, who is not, and who is ended: a keeper on a board of its own, with a ledger that answers as told."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.errors import LeaseLost
from swallowtail.app.core.ledger.runs import Beat, Claim
from swallowtail.app.core.states import TaskStatus
from swallowtail.workers.run.lease_keeper import Keeper, is_alive
from swallowtail.workers.run.shared_memory import Board, Note
from tests.harness.waiting import wait_until

RUN = Note(os.getpid(), "task", "token")


@dataclass
class FakeBeats:
    """A ledger that answers as told, and remembers what was asked of it."""

    answer: Beat = field(default_factory=lambda: Beat(alive=True, cancel_requested=False))
    told: list[tuple[str, str, str]] = field(default_factory=list)

    def heartbeat(self, claim: Claim, progress: float, message: str) -> Beat:
        assert (progress, message) == (0.0, "")
        self.told.append(("beat", claim.task_id, claim.token))
        return self.answer

    def cancelled(self, claim: Claim) -> TaskStatus:
        if not self.answer.alive:
            raise LeaseLost
        self.told.append(("cancelled", claim.task_id, claim.token))
        return TaskStatus.CANCELLED

    def retry_later(self, claim: Claim, error: dict[str, Any], delay: float) -> TaskStatus:
        self.told.append((error["code"], claim.task_id, claim.token))
        return TaskStatus.RETRYING


@dataclass
class Watched:
    """A board with one run on it, and a keeper; `ended` are the processes that it ended."""

    board: Board
    beats: FakeBeats
    keeper: Keeper
    ended: list[int]

    def look_until(self, reached: Callable[[], bool], what: str) -> None:
        """Have the keeper look until this is so."""

        def look() -> bool:
            self.keeper.look()
            return reached()

        wait_until(look, what)


MakeWatched = Callable[..., Watched]


@pytest.fixture
def make_watched() -> MakeWatched:
    def make(run: Note = RUN, *, heartbeat: float = 0.01, grace: float = 3600.0) -> Watched:
        settings = Settings(
            _env_file=None,
            lease_seconds=3600,
            heartbeat_seconds=heartbeat,
            cancel_grace=grace,
            shutdown_grace=grace,
        )
        board, beats, ended = Board(), FakeBeats(), list[int]()
        keeper = Keeper(board, beats, settings, end=ended.append)
        board.slot(0).open(run)
        return Watched(board, beats, keeper, ended)

    return make


def test_a_run_that_beats_is_left_alone(make_watched: MakeWatched) -> None:
    watched = make_watched(heartbeat=600)
    watched.keeper.look()
    assert watched.beats.told == []


def test_a_silent_run_is_kept_and_can_read_that_it_was(make_watched: MakeWatched) -> None:
    watched = make_watched()
    began = time.monotonic()
    watched.look_until(lambda: bool(watched.beats.told), "the run is kept")
    assert watched.beats.told == [("beat", "task", "token")]
    assert watched.board.slot(0).kept >= began


def test_a_run_that_is_over_is_not_kept(make_watched: MakeWatched) -> None:
    watched = make_watched()
    watched.board.slot(0).close()
    time.sleep(0.05)
    watched.keeper.look()
    assert watched.beats.told == []


def test_a_run_whose_process_is_gone_is_not_kept(make_watched: MakeWatched) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    wait_until(lambda: not is_alive(gone.pid), "it has ended, and nobody has asked how")
    watched = make_watched(Note(gone.pid, "task", "token"))
    time.sleep(0.05)
    watched.keeper.look()
    assert watched.beats.told == []
    gone.wait()
    assert not is_alive(gone.pid)


@pytest.mark.parametrize(
    ("alive", "cancelled", "leaving", "written"),
    [
        (True, True, False, ["cancelled"]),
        (True, False, True, ["worker_stopped"]),
        (True, True, True, ["cancelled"]),
        (False, False, False, []),
    ],
)
def test_a_run_that_cannot_hear_that_it_is_to_end_is_ended(
    make_watched: MakeWatched, alive: bool, cancelled: bool, leaving: bool, written: list[str]
) -> None:
    watched = make_watched(grace=0.1)
    watched.beats.answer = Beat(alive=alive, cancel_requested=cancelled)
    if leaving:
        watched.board.leave()
    watched.look_until(lambda: bool(watched.ended), "the process is ended")
    assert [what for what, _, _ in watched.beats.told if what != "beat"] == written
    assert watched.ended == [RUN.pid]


def test_a_run_that_is_to_end_has_its_grace(make_watched: MakeWatched) -> None:
    watched = make_watched()
    watched.beats.answer = Beat(alive=True, cancel_requested=True)
    watched.look_until(lambda: len(watched.beats.told) > 2, "it was looked at again")
    assert watched.ended == []


def test_two_boards_of_one_descriptor_are_one() -> None:
    first = Board()
    second = Board(first.descriptor)
    first.slot(3).open(RUN)
    first.leave()
    assert second.is_leaving
    assert [slot.read() for slot in second.open_slots()] == [RUN]
