"""Writers that bring whole tasks to completion, in threads or in processes of their own, and a reader of the log.

`python -m tests.core.concurrent_writers URL THREADS TASKS` is one process of writers.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from functools import partial
from typing import Any, NoReturn

from swallowtail.app.core.database.database import Database
from swallowtail.app.core.events import EventRecord
from swallowtail.app.core.ledger.event_log import Change, read_events
from swallowtail.app.core.ledger.transitions import lock_task
from tests.core.domain import Domain
from tests.harness.settings import make_settings
from tests.harness.waiting import wait_until

#: SUBMITTED, QUEUED, IN_PROGRESS, a step's start and end with its note, COMPLETED.
EVENTS_OF_A_TASK = 7


class Skipped(AssertionError):
    """A reader has missed an event above its cursor."""


class Follower:
    """Reads the events above the last number that it read."""

    def __init__(self, db: Database, instance_id: str = "demo") -> None:
        self._db = db
        self._instance_id = instance_id
        self.seen: list[EventRecord] = []

    def read(self) -> None:
        """Read new events. Raises Skipped when a number is missing."""
        cursor = self.seen[-1].seq if self.seen else 0
        with self._db.read() as session:
            for event in read_events(session, self._instance_id, cursor, 1000):
                if event.seq != cursor + 1:
                    raise Skipped(f"{event.seq} after {cursor}")
                cursor = event.seq
                self.seen.append(event)

    def follow(self, total: int) -> None:
        """Read until `total` events were read."""

        def has_all() -> bool:
            self.read()
            return len(self.seen) >= total

        wait_until(has_all, f"{total} events are there", every=0.005, seen=lambda: len(self.seen))


def live_tasks(domain: Domain, tasks: int) -> None:
    """Bring `tasks` tasks from submission to completion, with a transaction that is rolled back in each."""
    for _ in range(tasks):
        claim = domain.running()
        with contextlib.suppress(GaveUp):
            domain.rt.commit(partial(_give_up, task_id=claim.task_id))
        domain.perform(claim, "a", progress=50)
        domain.runs.complete(claim, {"done": True})


def crowd(domain: Domain, threads: int, tasks: int) -> list[threading.Thread]:
    """Start writers in threads."""
    writers = [threading.Thread(target=live_tasks, args=(domain, tasks)) for _ in range(threads)]
    for writer in writers:
        writer.start()
    return writers


class GaveUp(Exception):
    """The transaction has numbered events and must not be committed."""


def _give_up(change: Change, task_id: str) -> NoReturn:
    task: Any = lock_task(change.session, task_id)
    change.record(task, "task_update", {"progress": 1.0}, fact="never")
    change.record(task, "task_update", {"progress": 2.0}, fact="neither")
    change.number()
    raise GaveUp


def main(url: str, threads: str, tasks: str) -> None:
    """Write all tasks."""
    domain = Domain(make_settings(database_url=url))
    for writer in crowd(domain, int(threads), int(tasks)):
        writer.join()
    domain.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
