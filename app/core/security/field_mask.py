"""What is left of a task, a step or an event for somebody who is not shown all of it. Beside the road, after access.

A view is one task or all of them, and some fields or all of them. What is withheld is null, so that every shape keeps
its keys. What clients need to keep their place and to draw a state is never withheld.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar, cast

from swallowtail.app.core.events import EventRecord
from swallowtail.app.core.security.permissions import Actor

#: Fields that every view shows: which thing, which state, how far, when. None of them holds what anybody wrote.
KEPT = frozenset(
    {
        "id", "instance_id", "task_id", "step_id", "steps", "steps_complete", "kind", "status", "previous_status",
        "progress", "attempt",
        "tries", "position", "last_seq", "cancel_requested", "timestamp", "created_at", "started_at", "completed_at",
        "finished_at", "updated_at", "expires_at", "$unreadable", "$damaged",
    }
)  # fmt: skip
#: Fields that a view may name: all others are kept, or withheld from every view that has fields.
NAMEABLE = frozenset(
    {"title", "message", "input", "result", "error", "submitted_by", "agent", "action", "key", "output"}
)
#: The field that a step's streamed text becomes.
TEXT = "output"

M = TypeVar("M", bound=Mapping[str, Any])


@dataclass(frozen=True, slots=True)
class View:
    """What of an instance somebody is shown. Without arguments: everything."""

    task_id: str | None = None
    fields: frozenset[str] | None = None

    @property
    def is_full(self) -> bool:
        """Whether nothing is withheld."""
        return self.task_id is None and self.fields is None

    @property
    def shows_text(self) -> bool:
        """Whether streamed text is shown."""
        return self.fields is None or TEXT in self.fields

    def shows(self, task_id: str) -> bool:
        """Tell whether a task is part of the view."""
        return self.task_id in (None, task_id)

    def project(self, shape: M) -> M:
        """Return a task, a step, or an event's `data` with null for what is withheld; a task's steps likewise."""
        if self.fields is None:
            return shape
        shown: dict[str, Any] = {
            key: value if key in KEPT or key in self.fields else None for key, value in shape.items()
        }
        if "steps" in shown:
            shown["steps"] = [self.project(step) for step in shown["steps"]]
        return cast("M", shown)

    def project_event(self, event: EventRecord) -> EventRecord:
        """Return an event of a task that is shown, without what is withheld of its `data`."""
        return event if self.fields is None else replace(event, data=self.project(event.data))

    def project_wire(self, wire: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the payload of an event or of live progress, without what is withheld of its `data`."""
        return wire if self.fields is None else {**wire, "data": self.project(wire["data"])}


FULL = View()


def view_of(actor: Actor) -> View:
    """Return what an actor is shown of the instances that they may read."""
    return FULL if actor.task_id is None and actor.fields is None else View(actor.task_id, actor.fields)
