"""Tasks with payloads, their views and their stored redactions, for the tests of redactions that are stored."""

from __future__ import annotations

import base64
from typing import Any

from sqlalchemy import text

from swallowtail.app.core.events import now
from swallowtail.app.core.queries.rows import list_steps, list_tasks, read_step, read_task
from swallowtail.app.core.queries.snapshot import SnapshotLimits, read_snapshot_rows
from swallowtail.app.core.tables.instances import InstancePolicy
from tests.core.domain import Domain

PAYLOAD = {"text": "x" * 20_000, "street": "Main Road 1", "password": "open sesame"}
KEYS = [f"{name}:{base64.b64encode(bytes([number]) * 32).decode()}" for number, name in enumerate(("old", "new"))]
KEPT = {"task": ("input_shown", "secrets", "result_shown"), "step": ("output_shown",), "schedule": ("input_shown",)}


def make_task(domain: Domain) -> str:
    """Return the id of a completed task with an input, a step's output and a result."""
    claim = domain.running(input=PAYLOAD)
    domain.perform(claim, "a", {**PAYLOAD, "of": "step"})
    domain.runs.complete(claim, {**PAYLOAD, "of": "task"})
    return claim.task_id


def read_views(domain: Domain, task_id: str) -> list[Any]:
    """Read every view. Returns the input, the result and the output as they are shown."""
    with domain.db.read() as session:
        task = read_task(session, task_id)
        step = read_step(session, task_id, list_steps(session, task_id)[0]["step_id"])
        list_tasks(session, "demo", limit=9)
        read_snapshot_rows(session, "demo", SnapshotLimits()).build()
    return [task["input"], task["result"], step["output"]]


def read_streets(domain: Domain, task_id: str) -> list[str]:
    """Return what the three payloads show of the field `street`."""
    return [shown["street"] for shown in read_views(domain, task_id)]


def hide_fields(domain: Domain, *names: str) -> None:
    """Set the secret fields of the instance's policy."""
    with domain.db.write() as session:
        session.merge(InstancePolicy(instance_id="demo", secret_fields=list(names), updated_at=now()))
    domain.db.policies.forget()


def clear_stored(domain: Domain) -> None:
    """Delete the stored redactions: older versions did not store any."""
    with domain.db.write() as session:
        for table, columns in KEPT.items():
            session.execute(text(f"UPDATE {table} SET {', '.join(f'{column} = NULL' for column in columns)}"))
    domain.db.policies.forget()
