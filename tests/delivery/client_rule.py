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
        given = message.payload
        if message.event == "subscribed":
            if not (is_open and given["mode"] == "live"):
                epoch, at = given["epoch"], given["after"]
            is_open = True
        elif message.event == "unsubscribed":
            is_open = False
        elif message.event == "reset":
            epoch = at = None
        elif not is_open:
            faults.append(f"{message.event} {given.get('seq')} without a subscription")
        elif message.event == "head":
            if at is not None and (given["epoch"], given["seq"]) != (epoch, at):
                faults.append(f"head {given['seq']} after event {at}")
        elif "id" in given:
            if at is not None and (given["epoch"], given["seq"]) != (epoch, at + 1):
                faults.append(f"event {given['seq']} of {given['epoch']} after {at} of {epoch}")
            epoch, at = given["epoch"], given["seq"]
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


def _step(told: Wire, attempt: int) -> Wire:
    names = ("step_id", "agent", "action", "position", "status", "started_at", "completed_at")
    return {**{name: told[name] for name in names}, "error": told.get("error"), "attempt": attempt}
