"""A Python client that records the calls of its handlers, and answers of a server to it."""

from __future__ import annotations

from typing import Any

from swallowtail.client import Payload, StepText, TaskWebSocketClient
from tests.clients.fake_connection import FakeServer
from tests.harness.waiting import wait_until


class RecordingClient(TaskWebSocketClient):
    """Records the calls of its handlers, as `(what, detail)`."""

    def __init__(self, server: FakeServer, **options: Any) -> None:
        options = {"retry_after": 0.01, "retry_at_most": 0.02, **options}
        super().__init__("http://server", make_connection=server.make_connection, **options)
        self.calls: list[tuple[str, Any]] = []

    def handle_task_update(self, event: Payload) -> None:
        self.calls.append(("update", event.get("seq", event.get("rev"))))

    def handle_execution_step(self, event: Payload) -> None:
        self.calls.append(("step", event["seq"]))

    def handle_step_output(self, piece: Payload, stream: StepText) -> None:
        self.calls.append(("text", stream.text))

    def handle_snapshot(self, instance_id: str, snapshot: Payload) -> None:
        self.calls.append(("snapshot", snapshot["head"]))

    def handle_disconnected(self, reason: str) -> None:
        self.calls.append(("disconnected", reason))

    def handle_revoked(self, instance_id: str, reason: str) -> None:
        self.calls.append(("revoked", instance_id))

    def handle_error(self, error: Payload) -> None:
        self.calls.append(("error", error["message"]))

    def wait_for_calls(self, *expected: tuple[str, Any]) -> None:
        """Wait until the handlers received exactly these calls."""
        wait_until(
            lambda: len(self.calls) >= len(expected), f"the handlers receive {expected}", seen=lambda: self.calls
        )
        assert self.calls == list(expected)


def live(head: int, epoch: str = "a") -> Payload:
    """Return the answer to a subscription that begins now."""
    return {"ok": True, "mode": "live", "epoch": epoch, "head": head, "min_seq": 0}


def replay(head: int) -> Payload:
    """Return the answer to a subscription that is replayed."""
    return {**live(head), "mode": "replay"}
