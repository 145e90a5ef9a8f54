"""The messages that a client received, in order, and queries on them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any

from tests.harness.waiting import PATIENCE, wait_until

#: Every event of the protocol that a server sends.
EVENTS = (
    "connected",
    "subscribed",
    "unsubscribed",
    "task_update",
    "execution_step",
    "step_output",
    "head",
    "reset",
    "restarting",
    "skip",
    "token_expiring",
    "error",
)

Wire = dict[str, Any]


class Inbox:
    """The messages of one client over all its connections, in order of arrival."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, Wire]] = []
        self._lock = threading.Lock()

    def receive(self, name: str, payload: Wire) -> None:
        """Take one message; subclasses look at it first."""
        with self._lock:
            self.messages.append((name, payload))

    def payloads(self, *names: str) -> list[Wire]:
        """The payloads of these events, in order of arrival."""
        with self._lock:
            return [payload for name, payload in self.messages if name in names]

    def count(self, *names: str) -> int:
        """How many of these events have arrived."""
        return len(self.payloads(*names))

    def events(self, task_id: str | None = None, instance_id: str | None = None) -> list[Wire]:
        """The durable events received (of one task or instance), repeats included; live state is left out."""
        return [
            e for e in self.payloads("task_update", "execution_step") if "rev" not in e and _is(e, task_id, instance_id)
        ]

    def live(self, task_id: str | None = None, instance_id: str | None = None) -> list[Wire]:
        """The live progress received (of one task or instance)."""
        return [e for e in self.payloads("task_update") if "rev" in e and _is(e, task_id, instance_id)]

    def wait_until(self, condition: Callable[[], object], what: str, *, timeout: float = PATIENCE) -> None:
        """Wait for something that is to arrive; the complaint shows what did."""
        wait_until(lambda: bool(condition()), what, timeout=timeout, seen=lambda: self.messages[-20:])

    def wait_for_status(self, task_id: str, *statuses: str, timeout: float = PATIENCE) -> Wire:
        """Wait for a durable update of the task with one of these statuses; the event."""

        def received() -> list[Wire]:
            return [e for e in self.events(task_id) if e["data"].get("status") in statuses]

        self.wait_until(received, f"task {task_id} is {' or '.join(statuses)}", timeout=timeout)
        return received()[-1]

    def wait_for_seq(self, instance_id: str, seq: int, *, timeout: float = PATIENCE) -> None:
        """Wait until the instance's event with this number has arrived."""
        self.wait_until(
            lambda: any(e["seq"] >= seq for e in self.events(instance_id=instance_id)),
            f"event {seq} of {instance_id} arrives",
            timeout=timeout,
        )


def _is(event: Wire, task_id: str | None, instance_id: str | None) -> bool:
    return task_id in (None, event["task_id"]) and instance_id in (None, event["instance_id"])


def shape(events: Iterable[Wire]) -> list[str]:
    """Each durable event as one short line, for comparing with an exact list.

    `"IN_PROGRESS"` for a change of status, `"plan in_progress"` for a step by its key, `"progress 50"` for progress
    alone, and `"cancel requested"`.
    """
    return [_line(event["type"], event["data"]) for event in events]


def _line(kind: str, data: Wire) -> str:
    if kind == "execution_step":
        return f"{data['key']} {data['status']}"
    if data.get("status"):
        return str(data["status"])
    if data.get("cancel_requested"):
        return "cancel requested"
    return f"progress {data['progress']:g}"


def assert_contiguous(events: Iterable[Wire], *, after: int = 0) -> None:
    """Assert that the numbers are after + 1, after + 2, … of one epoch: no gap, no repeat, no disorder."""
    got = list(events)
    assert [event["seq"] for event in got] == list(range(after + 1, after + 1 + len(got)))
    assert len({event["epoch"] for event in got}) <= 1
    assert len({event["id"] for event in got}) == len(got)
