"""Beats for the runs of a worker that cannot: a step that holds the interpreter starves the heartbeat beside it.

Beside the road, in a thread of the worker's reaper, which no step can hold up. It reads on the board who performs what,
and extends the lease of a run that has not done so itself for a while, as long as its process lives. A run that is to
end, and whose process hears nothing of it, is ended here.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import structlog

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.errors import LeaseLost, SwallowtailError
from swallowtail.app.core.ledger.runs import Beat, Claim
from swallowtail.app.core.states import TaskStatus
from swallowtail.workers.run.heartbeat import LEAST_GRACE
from swallowtail.workers.run.outcomes import SHUT_DOWN, Error
from swallowtail.workers.run.shared_memory import Board, Note, Slot

log = structlog.get_logger(__name__)


class Beats(Protocol):
    """What a keeper needs of `core/ledger/runs.RunLedger`; its database must give up within a heartbeat or so."""

    def heartbeat(self, claim: Claim, progress: float, message: str) -> Beat: ...  # noqa: D102

    def cancelled(self, claim: Claim) -> TaskStatus: ...  # noqa: D102

    def retry_later(self, claim: Claim, error: Error, delay: float) -> TaskStatus: ...  # noqa: D102


def is_alive(pid: int) -> bool:
    """Tell whether a process is there and not only waits for its parent to notice its end."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except PermissionError:
        return True
    except FileNotFoundError:
        # Not Linux, or gone in this very moment: the next look will tell.
        return not Path("/proc/self").exists()
    except OSError:
        return False


def kill(pid: int) -> None:
    """End a process at once."""
    os.kill(pid, signal.SIGKILL)


class Keeper:
    """Looks after the runs on one board."""

    def __init__(
        self,
        board: Board,
        beats: Beats,
        settings: Settings,
        alive: Callable[[int], bool] = is_alive,
        end: Callable[[int], None] = kill,
    ) -> None:
        self._board = board
        self._beats = beats
        self._settings = settings
        self._alive = alive
        self._end = end
        #: Since when each silent run should have ended.
        self._due: dict[Note, float] = {}
        #: A run that missed a beat is silent; the lease must not lapse before that.
        self._patience = min(2 * settings.heartbeat_seconds, (settings.heartbeat_seconds + settings.lease_seconds) / 2)

    def run(self, stopping: threading.Event) -> None:
        """Look every half a heartbeat until told to stop."""
        while not stopping.wait(self._settings.heartbeat_seconds / 2):
            try:
                self.look()
            except Exception as fault:  # the database is away, or broken: the next look may find it back
                log.warning(
                    "keeper_failed", reason=fault.message if isinstance(fault, SwallowtailError) else repr(fault)
                )

    def look(self) -> None:
        """Beat for every run that is silent and alive."""
        silent = [(slot, note) for slot in self._board.open_slots() if (note := self._silent(slot))]
        self._due = {note: self._due[note] for _, note in silent if note in self._due}
        for slot, note in silent:
            if time.monotonic() - slot.kept >= self._patience:
                self._keep(slot, note)

    def _silent(self, slot: Slot) -> Note | None:
        note = slot.read()
        is_silent = time.monotonic() - slot.beaten >= self._patience
        return note if note is not None and is_silent and self._alive(note.pid) else None

    def _keep(self, slot: Slot, note: Note) -> None:
        claim = Claim(note.task_id, "", "", None, 0, note.token, 0.0, 0)
        began = time.monotonic()
        beat = self._beats.heartbeat(claim, 0.0, "")
        if beat.alive:
            slot.keep(began)
        if beat.alive and not beat.cancel_requested and not self._board.is_leaving:
            return
        handing_over = beat.alive and not beat.cancel_requested
        grace = self._settings.shutdown_grace if handing_over else self._settings.cancel_grace
        if began - self._due.setdefault(note, began) >= grace + max(self._settings.cancel_grace, LEAST_GRACE):
            self._end_by_force(claim, note, handing_over=handing_over)

    def _end_by_force(self, claim: Claim, note: Note, *, handing_over: bool) -> None:
        log.error("run_killed", task_id=note.task_id, reason="it holds the interpreter and is to end")
        try:
            self._beats.retry_later(claim, SHUT_DOWN.error, 0.0) if handing_over else self._beats.cancelled(claim)
        except LeaseLost:
            # Somebody else has the task, so there is nothing to write.
            pass
        finally:
            self._end(note.pid)
