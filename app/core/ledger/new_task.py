"""Defines a checked submission and the task row that is made of it."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from swallowtail.app.core.ledger.artifacts import ShownInput
from swallowtail.app.core.states import TaskStatus
from swallowtail.app.core.tables.tasks import Task


@dataclass(frozen=True, slots=True)
class CheckedTask:
    """A submission that has been checked. Times are moments in UTC, limits seconds.

    `shown_input` is what may be shown of the input, if that was computed already.
    """

    instance_id: str
    kind: str
    title: str
    input: Any
    fingerprint: str
    submitted_by: str = "api"
    idempotency_key: str | None = None
    expires_at: datetime | None = None
    soft_time_limit: float | None = None
    hard_time_limit: float | None = None
    shown_input: ShownInput | None = field(default=None, repr=False)
    id: str = field(default_factory=lambda: str(uuid.uuid4()))


def row_of(new: CheckedTask, moment: datetime) -> Task:
    """Return the row of a submission that was made at a moment."""
    return Task(
        id=new.id,
        instance_id=new.instance_id,
        kind=new.kind,
        title=new.title,
        input=new.input,
        status=TaskStatus.SUBMITTED.value,
        progress=0.0,
        message="Submitted",
        attempt=0,
        losses=0,
        failures=0,
        retries=0,
        last_seq=0,
        fingerprint=new.fingerprint,
        submitted_by=new.submitted_by,
        idempotency_key=new.idempotency_key,
        soft_time_limit=new.soft_time_limit,
        hard_time_limit=new.hard_time_limit,
        created_at=moment,
        updated_at=moment,
        expires_at=new.expires_at,
    )
