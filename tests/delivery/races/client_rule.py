"""What a client that follows the client rule shows, and what the protocol forbids in its messages."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tests.delivery.fakes import FakeFrame

Wire = dict[str, Any]


def find_faults(messages: Iterable[FakeFrame]) -> list[str]:
    """Return what the protocol forbids in one connection's messages: gaps, repeats, disorder, foreign events."""
    faults: list[str] = []
    is_open = False
    epoch: str | None = None
    at: int | None = None
    for message in list(messages):
        payload = message.payload
        if message.event == "subscribed":
            if not (is_open and payload["mode"] == "live"):
                epoch, at = payload["epoch"], payload["after"]
            is_open = True
        elif message.event == "unsubscribed":
            is_open = False
        elif message.event == "reset":
            epoch = at = None
        elif not is_open:
            faults.append(f"{message.event} {payload.get('seq')} without a subscription")
        elif message.event == "head":
            if at is not None and (payload["epoch"], payload["seq"]) != (epoch, at):
                faults.append(f"head {payload['seq']} after event {at}")
        elif "id" in payload:
            if at is not None and (payload["epoch"], payload["seq"]) != (epoch, at + 1):
                faults.append(f"event {payload['seq']} of {payload['epoch']} after {at} of {epoch}")
            epoch, at = payload["epoch"], payload["seq"]
    return faults


class Screen:
    """The state of a client, without outputs and results: a snapshot with every event applied to it."""

    def __init__(self, snapshot: Wire | None = None) -> None:
        self.tasks: dict[str, Wire] = {}
        for task in (snapshot or {"tasks": []})["tasks"]:
            self.tasks[task["id"]] = {
                **{name: task[name] for name in ("status", "progress", "message", "attempt", "error")},
                "cancel_requested": task["cancel_requested"],
                "steps": {step["key"]: _step(step, step["attempt"]) for step in task["steps"]},
            }

    def apply(self, event: Wire) -> None:
        """Apply one event."""
        data = event["data"]
        task = self.tasks.setdefault(event["task_id"], {"steps": {}, "error": None})
        task["attempt"], task["progress"] = event["attempt"], data["progress"]
        if event["type"] == "execution_step":
            task["steps"][data["key"]] = _step(data, event["attempt"])
            return
        task["message"] = data["message"]
        if "status" in data:
            task.update(status=data["status"], error=data.get("error"))
            task["cancel_requested"] = False
        else:
            task["cancel_requested"] = task.get("cancel_requested", False) or data.get("cancel_requested", False)


def _step(step: Wire, attempt: int) -> Wire:
    names = ("step_id", "agent", "action", "position", "status", "started_at", "completed_at")
    return {**{name: step[name] for name in names}, "error": step.get("error"), "attempt": attempt}
