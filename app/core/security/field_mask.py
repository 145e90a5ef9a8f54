"""Masks the fields of tasks, steps and events that a token does not show.

A view has one task or all, and some fields or all. Masked fields are null, so that every object keeps its keys. Fields
that clients need for their position and for showing a state are never masked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar, cast

from swallowtail.app.core.events import EventRecord
from swallowtail.app.core.security.actors import Actor

#: Fields that every view shows: ids, states, progress and times. None of them has text of users or agents.
ALWAYS_SHOWN = frozenset(
    {
        "id", "instance_id", "task_id", "step_id", "steps", "steps_complete", "kind", "status", "previous_status",
        "progress", "attempt",
        "tries", "position", "last_seq", "cancel_requested", "timestamp", "created_at", "started_at", "completed_at",
        "finished_at", "updated_at", "expires_at", "waiting", "$unreadable", "$damaged",
    }
)  # fmt: skip
#: Fields that a view may name. Other fields are shown always, or masked in every view with fields.
MASKABLE = frozenset(
    {"title", "message", "input", "result", "error", "submitted_by", "agent", "action", "key", "output"}
)
#: The field of a step's streamed text.
TEXT = "output"

M = TypeVar("M", bound=Mapping[str, Any])


@dataclass(frozen=True, slots=True)
class FieldMask:
    """What a token shows of an instance. Without arguments: everything."""

    task_id: str | None = None
    fields: frozenset[str] | None = None

    @property
    def is_full(self) -> bool:
        """Whether nothing is masked."""
        return self.task_id is None and self.fields is None

    @property
    def shows_text(self) -> bool:
        """Whether streamed text is shown."""
        return self.fields is None or TEXT in self.fields

    def shows(self, task_id: str) -> bool:
        """Return whether a task is part of the view."""
        return self.task_id in (None, task_id)

    def project(self, item: M) -> M:
        """Return a task, a step, or an event's `data`, masked; a task's steps likewise."""
        if self.fields is None:
            return item
        visible = ALWAYS_SHOWN | self.fields
        shown: dict[str, Any] = {key: value if key in visible else None for key, value in item.items()}
        if "steps" in shown:
            shown["steps"] = [self.project(step) for step in shown["steps"]]
        return cast("M", shown)

    def project_event(self, event: EventRecord) -> EventRecord:
        """Return an event with its `data` masked."""
        return event if self.fields is None else replace(event, data=self.project(event.data))

    def project_wire(self, wire: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the payload of an event or of live progress with its `data` masked."""
        return wire if self.fields is None else {**wire, "data": self.project(wire["data"])}


FULL = FieldMask()


def view_of(actor: Actor) -> FieldMask:
    """Return the view of an actor."""
    return FULL if actor.task_id is None and actor.fields is None else FieldMask(actor.task_id, actor.fields)
