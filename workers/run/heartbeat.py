"""A run's pulse: extends its lease, sees a cancel, and stops the run when it must not or need not go on.

Beside the road, in a pool child, from claim to end. Two threads: one beats, and may hang with the database for as long
as the network likes; one only looks at this machine's clock, so that a run stops itself before its lease lapses in the
database, where somebody else may then claim the task. (If that fails too, the fence refuses what the run writes.)
While a step lets neither of them run, `workers/run/lease_keeper` beats for it.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol, Self

import structlog

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.errors import SwallowtailError
from swallowtail.app.core.ledger.runs import Beat, Claim
from swallowtail.workers.run.interrupts import Interrupts
from swallowtail.workers.run.live_progress import LiveProgress
from swallowtail.workers.run.outcomes import CANCELLED, LEASE_LOST, SHUT_DOWN, TERMINATED, Ending, RunStopped
from swallowtail.workers.run.shared_memory import Note, Slot

log = structlog.get_logger(__name__)

#: A run that ignores its interrupt gets at least this long before its process is killed.
LEAST_GRACE = 1.0


class Beats(Protocol):
    """What a pulse needs of `core/ledger/runs.RunLedger`; its database must give up within a heartbeat or so."""

    def heartbeat(self, claim: Claim, progress: float, message: str) -> Beat: ...  # noqa: D102


def kill_self() -> None:
    """End this process at once; the worker's main process replaces it."""
    os.kill(os.getpid(), signal.SIGKILL)


class Pulse:
    """Watches over one run. Use it as a context; `wind_up` before the run writes its end.

    Args:
        claim: what the run holds; made a moment ago.
        claimed_at: this machine's clock just before the claim was asked for.
        beats: where to beat, on a database of little patience.
        slot: where other processes of this worker see that the run goes on, and say that they stop.
        last_words: writes how the run ended, when its process is about to be killed.
        kill: ends the process.
    """

    def __init__(
        self,
        claim: Claim,
        claimed_at: float,
        beats: Beats,
        settings: Settings,
        interrupts: Interrupts,
        live: LiveProgress,
        slot: Slot,
        last_words: Callable[[Ending], object],
        kill: Callable[[], None] = kill_self,
    ) -> None:
        self._claim = claim
        self._beats = beats
        self._settings = settings
        self._interrupts = interrupts
        self._live = live
        self._slot = slot
        self._last_words = last_words
        self._kill = kill
        self._lock = threading.Lock()
        self._beaten_at = claimed_at
        self._left_at: float | None = None
        self._lost = False
        self._cancelled_at: float | None = None
        self._struck_at: float | None = None
        self._winding_up = False
        self._over = threading.Event()
        self._awake = threading.Event()
        self._threads = [
            threading.Thread(target=work, name=name, daemon=True)
            for work, name in ((self._beat_on, "heartbeat"), (self._watch_on, "lease-watch"))
        ]

    def __enter__(self) -> Self:
        self._interrupts.reason = self.force
        self._slot.open(Note(os.getpid(), self._claim.task_id, self._claim.token))
        self._live.on_held_back = self._awake.set
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._winding_up = True
        self._over.set()
        self._awake.set()
        for thread in self._threads:
            thread.join(timeout=self._settings.lease_seconds)
        self._slot.close()

    def wind_up(self) -> None:
        """Go on beating, but leave the run alone from now on: it writes its end."""
        self._winding_up = True
        self._live.close()

    @property
    def overtime(self) -> bool:
        """The soft time limit has struck."""
        return self._interrupts.overtime

    @property
    def told(self) -> bool:
        """The agent was told that its worker stops."""
        return self._interrupts.told

    def closed(self) -> AbstractContextManager[None]:
        """In this block no signal interrupts."""
        return self._interrupts.closed()

    def call(self, fn: Callable[..., Any], *args: Any) -> Any:
        """Call an agent's code, which signals may interrupt."""
        return self._interrupts.call(fn, *args)

    def check(self, *, between: bool = False) -> None:
        """Raise RunStopped when the run is to end; `between` two steps it ends when its worker stops, too."""
        ending = self._ending()
        if ending is None and between and self._slot.is_leaving and not self._winding_up:
            ending = SHUT_DOWN
        if ending is not None:
            raise RunStopped(ending)

    @contextmanager
    def writing(self) -> Iterator[Callable[[bool], None]]:
        """Time a write that extends the lease; call what it gives with whether a cancel was requested."""
        began = time.monotonic()
        yield lambda cancel_requested: self._extend(began, cancel_requested)

    def force(self) -> Ending | None:
        """Return the reason to end the run even inside a call that does not ask; a cancel has its grace first."""
        ending = self._ending()
        if ending is CANCELLED and time.monotonic() < self._cancel_deadline():
            return None
        return ending

    def _ending(self) -> Ending | None:
        if self._winding_up:
            return None
        if self._lost or time.monotonic() >= self._lease_until:
            return LEASE_LOST
        if self._cancelled_at is not None:
            return CANCELLED
        if self._interrupts.terminated:
            return SHUT_DOWN if self._slot.is_leaving else TERMINATED
        return None

    @property
    def _lease_until(self) -> float:
        return max(self._beaten_at, self._slot.kept) + self._settings.lease_seconds

    def _cancel_deadline(self) -> float:
        return (self._cancelled_at or 0.0) + self._settings.cancel_grace

    def _extend(self, began: float, cancel_requested: bool) -> None:
        with self._lock:
            self._beaten_at = max(self._beaten_at, began)
            self._slot.beat(self._beaten_at)
            if cancel_requested and self._cancelled_at is None:
                self._cancelled_at = time.monotonic()
        self._awake.set()

    def _beat_on(self) -> None:
        while not self._over.wait(self._settings.heartbeat_seconds):
            began = time.monotonic()
            try:
                beat = self._beats.heartbeat(self._claim, *self._live.current())
            except Exception as fault:  # the database is away, or broken: the clock decides how long to bear it
                reason = fault.message if isinstance(fault, SwallowtailError) else repr(fault)
                log.warning("heartbeat_failed", task_id=self._claim.task_id, reason=reason)
                continue
            if beat.alive:
                self._extend(began, beat.cancel_requested)
            else:
                self._lost = True
                self._awake.set()

    def _watch_on(self) -> None:
        while not self._over.is_set():
            self._awake.wait(self._next_look())
            self._awake.clear()
            if not self._winding_up:
                self._enforce()

    def _next_look(self) -> float:
        held_back, left = self._live.flush(), self._lease_until - time.monotonic()
        look = min(self._settings.heartbeat_seconds, left) if left > 0 else self._settings.heartbeat_seconds
        return look if held_back is None else min(look, max(held_back, 0.001))

    def _enforce(self) -> None:
        moment = time.monotonic()
        forced, left = self.force(), self._left(moment)
        ending = forced or left
        if ending is None:
            self._struck_at = None
        elif self._struck_at is None:
            self._struck_at = moment
            log.warning("run_interrupted", task_id=self._claim.task_id, reason=ending.error["code"])
            (self._interrupts.nudge if forced else self._interrupts.leave)()
        elif moment >= self._struck_at + max(self._settings.cancel_grace, LEAST_GRACE) and self._interrupts.open:
            # Only the agent's own code is worth killing: a write has limits of its own.
            self._end_by_force(ending)

    def _left(self, moment: float) -> Ending | None:
        """Return the reason to tell the step that its worker stops, once it has had its time to end by itself."""
        if not self._slot.is_leaving or self._winding_up:
            return None
        self._left_at = moment if self._left_at is None else self._left_at
        return SHUT_DOWN if moment >= self._left_at + self._settings.shutdown_grace else None

    def _end_by_force(self, ending: Ending) -> None:
        log.error("run_killed", task_id=self._claim.task_id, reason=ending.error["code"])
        # In a thread: a database that hangs must not keep this process alive.
        words = threading.Thread(target=self._last_words, args=(ending,), daemon=True)
        words.start()
        words.join(timeout=self._settings.lease_seconds)
        self._kill()
