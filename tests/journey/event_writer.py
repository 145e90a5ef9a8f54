"""Writes tasks into a deployment's log as a worker does, without Celery, for tests of delivery."""

from __future__ import annotations

import threading
import time
from typing import Any, Self

from swallowtail import signals
from swallowtail.app.core.events import LiveState, TextPiece, step_id
from swallowtail.app.core.ledger.claims import Claim
from swallowtail.app.core.ledger.tasks import CheckedTask
from tests.harness.deployment import Deployment


class Author:
    """One instance, and tasks in it whose events the test decides."""

    def __init__(self, deployment: Deployment, instance_id: str | None = None) -> None:
        self.deployment = deployment
        self.rt = deployment.runtime()
        self.instance_id = instance_id or deployment.new_instance()

    def submit(self) -> str:
        """Store a task; its id."""
        task, _, _ = self.rt.ledger.submit(CheckedTask(self.instance_id, "echo", "Told", {}, fingerprint=""))
        return task.id

    def claim(self, task_id: str, attempt: int = 1) -> Claim:
        """Begin an attempt."""
        claim = self.rt.runs.claim(task_id, attempt, "author")
        assert claim is not None
        return claim

    def step(self, claim: Claim, key: str, *, progress: float | None = None) -> None:
        """Perform a step: two events, and a third if it reports progress."""
        self.rt.runs.start_step(claim, key, "Author", "write")
        self.rt.runs.finish_step(claim, key, {"text": f"{key} äöü ☃"}, progress=progress)

    def play(self, steps: int = 2) -> str:
        """Write a whole task of 4 + 2 · steps events; its id."""
        claim = self.claim(self.submit())
        for number in range(steps):
            self.step(claim, f"s{number + 1}")
        self.rt.runs.complete(claim, {"done": True})
        return claim.task_id

    def publish_live(self, claim: Claim, progress: float, *, rev: int, base_seq: int) -> None:
        """Publish progress inside a step."""
        data = {"progress": progress, "message": "working", "timestamp": "2026-01-01T00:00:00.000Z"}
        state = LiveState(self.instance_id, claim.task_id, claim.attempt, rev, base_seq, data, claim.epoch)
        signals.send(signals.progressed, self.rt.db, state=state)

    def publish_text(self, task_id: str, key: str, text: str, *, offset: int, rev: int) -> None:
        """Publish a piece of the text of a step in the first attempt."""
        piece = TextPiece(self.instance_id, task_id, step_id(task_id, key), 1, rev, offset, text)
        signals.send(signals.text_produced, self.rt.db, text=piece)

    @property
    def events(self) -> list[dict[str, Any]]:
        """The instance's whole log."""
        return self.deployment.events(self.instance_id)

    @property
    def head(self) -> int:
        """The number of the latest event."""
        return len(self.events)

    @property
    def epoch(self) -> str:
        """The epoch of the log; it must have an event."""
        return str(self.events[0]["epoch"])


class BusyAuthor:
    """Writes task after task in a thread, until the end of its block."""

    def __init__(self, author: Author, *, pause: float = 0.002) -> None:
        self.author = author
        self.pause = pause
        self.errors: list[BaseException] = []
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._write)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        assert not self.errors

    def _write(self) -> None:
        try:
            while not self._done.is_set():
                self.author.play(3)
                time.sleep(self.pause)
        except BaseException as error:
            self.errors.append(error)
