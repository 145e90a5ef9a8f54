"""Holding on: a run whose database takes no writes waits with what it has, and goes on when it does again.

Beside the road, between `workers/run/context` and `core/ledger/runs`. Nobody else can take the task meanwhile, since a claim is a
write too; and should somebody, the fence refuses what this run writes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

import structlog

from swallowtail.app.core.errors import Unavailable
from swallowtail.app.core.ledger.runs import Beat, Claim, RunLedger, Wrote

log = structlog.get_logger(__name__)

T = TypeVar("T")


class Holding:
    """A run's writes, each done again until the database has taken it.

    Args:
        runs: what writes, with a patience of its own for each try.
        pause: seconds between two tries.
        may_hold: whether the run may wait; when not, the refusal is raised.
        renew: called after a wait: the lease was extended later than the caller can know.
    """

    def __init__(
        self, runs: RunLedger, pause: float, may_hold: Callable[[], bool], renew: Callable[[], object]
    ) -> None:
        self._runs = runs
        self._pause = pause
        self._may_hold = may_hold
        self._renew = renew

    def start_step(self, claim: Claim, key: str, agent: str, action: str) -> Wrote:
        """Open a step."""
        return self.hold(lambda: self._runs.start_step(claim, key, agent, action))

    def finish_step(
        self, claim: Claim, key: str, output: Any, *, progress: float | None = None, message: str | None = None
    ) -> Wrote:
        """Save a step's output."""
        return self.hold(lambda: self._runs.finish_step(claim, key, output, progress=progress, message=message))

    def skip_step(self, claim: Claim, key: str, agent: str, action: str, reason: str) -> Wrote:
        """Record that a step is not needed."""
        return self.hold(lambda: self._runs.skip_step(claim, key, agent, action, reason))

    def fail_step(self, claim: Claim, key: str, error: dict[str, Any]) -> Wrote:
        """Record that a step's try failed."""
        return self.hold(lambda: self._runs.fail_step(claim, key, error))

    def heartbeat(self, claim: Claim, progress: float, message: str) -> Beat:
        """Leave progress on the row."""
        return self.hold(lambda: self._runs.heartbeat(claim, progress, message))

    def hold(self, write: Callable[[], T]) -> T:
        """Write until the database has taken it. Raises Unavailable, once the run may not wait any longer."""
        began = time.monotonic()
        while True:
            try:
                outcome = write()
                break
            except Unavailable as away:
                if not self._may_hold():
                    log.error("run_given_up", reason=away.message, lost="what it had to write")
                    raise
                log.warning("run_paused", reason=away.message)
                time.sleep(self._pause)
        if time.monotonic() - began > self._pause:
            self._renew()
        return outcome
