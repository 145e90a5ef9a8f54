"""Submits tasks to a deployment in the process of the test, and reads what its database has of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.deployment_identity import join
from swallowtail.app.core.ledger.event_log import read_events
from swallowtail.app.core.queries import rows
from swallowtail.app.core.runtime import Runtime
from swallowtail.app.core.schemas.tasks import NewTask
from swallowtail.app.core.services import tasks as task_service
from swallowtail.app.core.services.instances import create_instance
from tests.harness.waiting import PATIENCE, wait_until

#: Statuses that a task does not leave by itself.
FINAL = ("COMPLETED", "FAILED", "CANCELLED", "EXPIRED")


class TaskClient(ABC):
    """The domain of a deployment in this process: creates instances, submits tasks, waits for their events."""

    def __init__(self) -> None:
        self._runtime: Runtime | None = None
        self._instances = 0

    @property
    @abstractmethod
    def settings(self) -> Settings:
        """The settings of the deployment's processes; `runtime().settings` has the deployment's names too."""

    def runtime(self) -> Runtime:
        """The domain, in this process, on the deployment's database and Redis."""
        if self._runtime is None:
            self._runtime = Runtime.build(join(self.settings))
        return self._runtime

    def close_runtime(self) -> None:
        """Close the connections of this process."""
        if self._runtime is not None:
            self._runtime.close()
            self._runtime = None

    def new_instance(self, name: str = "Test") -> str:
        """Create an instance; its id."""
        self._instances += 1
        return create_instance(self.runtime(), f"{name} {self._instances}")["id"]

    def submit(self, instance_id: str, kind: str, payload: object, **more: Any) -> str:
        """Submit a task by the service; returns its id. `more` has arguments of `NewTask`, or an `idempotency_key`."""
        key = more.pop("idempotency_key", None)
        new = NewTask(kind=kind, input=payload, **more)
        return task_service.submit(self.runtime(), instance_id, new, idempotency_key=key).task["id"]

    def task(self, task_id: str) -> dict[str, Any]:
        """The task as a reader sees it."""
        with self.runtime().db.read() as session:
            return dict(rows.read_task(session, task_id))

    def wait_for_task(self, task_id: str, *statuses: str, timeout: float = PATIENCE) -> dict[str, Any]:
        """Wait until the task has one of the statuses, by default any that is final; the task."""
        expected = statuses or FINAL

        def reached() -> dict[str, Any] | None:
            task = self.task(task_id)
            return task if task["status"] in expected else None

        task = wait_until(
            reached,
            f"task {task_id} is {' or '.join(expected)}",
            timeout=timeout,
            every=0.1,
            seen=lambda: self.task(task_id),
        )
        assert task is not None
        return task

    def wait_for_event(
        self, instance_id: str, matches: Callable[[dict[str, Any]], bool], what: str, *, timeout: float = PATIENCE
    ) -> dict[str, Any]:
        """Wait until the log has an event that matches; the first such event."""

        def find_event() -> dict[str, Any] | None:
            return next((event for event in self.events(instance_id) if matches(event)), None)

        event = wait_until(find_event, what, timeout=timeout, every=0.1, seen=lambda: self.events(instance_id))
        assert event is not None
        return event

    def wait_for_step(
        self, instance_id: str, task_id: str, key: str, status: str = "in_progress", *, attempt: int | None = None
    ) -> dict[str, Any]:
        """Wait until the log has an event with this status of a step (in this attempt). Returns the event."""

        def matches(event: dict[str, Any]) -> bool:
            data = event["data"]
            is_step = event["type"] == "execution_step" and (data["key"], data["status"]) == (key, status)
            return is_step and event["task_id"] == task_id and attempt in (None, event["attempt"])

        return self.wait_for_event(instance_id, matches, f"step {key} of {task_id} is {status}")

    def events(self, instance_id: str, task_id: str | None = None) -> list[dict[str, Any]]:
        """The instance's whole log (of one task), in the shape it has on the wire."""
        with self.runtime().db.read() as session:
            return [e.wire() for e in read_events(session, instance_id, after=0, limit=1_000_000, task_id=task_id)]
