"""Finds the texts in the secret fields of tasks' inputs, and stores them with the task.

The column `secrets` has `{"by": rules, "values": […]}`, or `{"by": rules, "mute": true}` if there are too many. When
the rules change, the texts are searched again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import orjson
from sqlalchemy import Text, cast, select
from sqlalchemy.orm import Session

from swallowtail.app.core.payload_redaction.stored_redactions import decrypt_redaction, fingerprint, note_redaction
from swallowtail.app.core.privacy.keyring import Keyring
from swallowtail.app.core.privacy.redaction_rules import Rules
from swallowtail.app.core.process.offload import offload_by_size
from swallowtail.app.core.tables.artifacts import Artifact
from swallowtail.app.core.tables.column_encryption import decrypt_bytes, decrypt_value, keyring_of
from swallowtail.app.core.tables.tasks import Task
from swallowtail.app.core.tables.unreadable import deserialize, is_unreadable, require_readable

#: Most artifacts in one query.
_MOST_ARTIFACTS = 20
#: Most tasks in one query: all of a snapshot.
_MOST_TASKS = 200

#: The id of a task, and a reader of its input.
_Source = tuple[str, Callable[[], Any]]


def add_input_secrets(session: Session, rules_by_task: Mapping[str, Rules]) -> dict[str, Rules]:
    """Return the rules of stored tasks with readable inputs, by id; `rules_by_task` has the rules of their agents."""
    if not rules_by_task:
        return {}
    complete: dict[str, Rules] = {}
    ids = list(rules_by_task)
    for start in range(0, len(ids), _MOST_TASKS):
        some = Task.id.in_(ids[start : start + _MOST_TASKS])
        # As text, since a worker thread parses it: it may be large.
        rows = session.execute(select(Task.id, cast(Task.secrets, Text)).where(some)).all()
        size = sum(len(text or "") for _, text in rows)
        complete |= offload_by_size(session, size)(_read_stored_all, keyring_of(session), rows, rules_by_task)
    for sources, size in _read_inputs(session, [task_id for task_id in rules_by_task if task_id not in complete]):
        fresh: dict[str, Rules] = offload_by_size(session, size)(_add_all, sources, rules_by_task)
        for task_id, own in fresh.items():
            note_redaction(session, Task, task_id, "secrets", describe(rules_by_task[task_id], own))
        complete |= fresh
    return complete


def describe(rules: Rules, own: Rules) -> dict[str, Any]:
    """Return the content of the column `secrets`: `own` was made of `rules`."""
    return {"by": fingerprint(rules), **({"mute": True} if own.hides_all else {"values": own.values})}


def _read_stored_all(
    keyring: Keyring, rows: Sequence[Sequence[Any]], rules_by_task: Mapping[str, Rules]
) -> dict[str, Rules]:
    complete: dict[str, Rules] = {}
    for task_id, text in rows:
        own = _read_stored(decrypt_redaction(keyring, Task, task_id, "secrets", text), rules_by_task[task_id])
        if own is not None:
            complete[task_id] = own
    return complete


def _read_stored(stored: Any, rules: Rules) -> Rules | None:
    if not isinstance(stored, dict) or stored.get("by") != fingerprint(rules):
        return None
    if stored.get("mute"):
        return replace(rules, values=(), hides_all=True)
    return replace(rules, values=tuple(stored["values"])) if stored["values"] else rules


def _read_inputs(session: Session, task_ids: Sequence[str]) -> Iterator[tuple[list[_Source], int]]:
    """Yield readers of some of the inputs with their total size. A worker thread parses them."""
    if not task_ids:
        return
    keyring, inside, sources = keyring_of(session), 0, list[_Source]()
    task_by_artifact: dict[str, str] = {}
    query = select(Task.id, cast(Task.input, Text), Task.input_artifact_id).where(Task.id.in_(task_ids))
    for task_id, text, artifact_id in session.execute(query):
        if artifact_id is None:
            sources.append((task_id, partial(_open, keyring, task_id, text)))
            inside += len(text)
        else:
            task_by_artifact[artifact_id] = task_id
    yield sources, inside
    ids = list(task_by_artifact)
    for start in range(0, len(ids), _MOST_ARTIFACTS):
        some = Artifact.id.in_(ids[start : start + _MOST_ARTIFACTS])
        rows = session.execute(select(Artifact.id, Artifact.content, Artifact.key_id).where(some)).all()
        sources = [
            (task_by_artifact[row.id], partial(_open_artifact, keyring, row.id, row.content, row.key_id))
            for row in rows
        ]
        yield sources, sum(len(row.content) for row in rows)


def _open(keyring: Keyring, task_id: str, text: str) -> Any:
    return decrypt_value(keyring, Task, task_id, "input", deserialize(text))


def _open_artifact(keyring: Keyring, artifact_id: str, content: bytes, key_id: str | None) -> Any:
    return orjson.loads(decrypt_bytes(keyring, artifact_id, content, key_id))


def _add_all(sources: Sequence[_Source], rules_by_task: Mapping[str, Rules]) -> dict[str, Rules]:
    complete: dict[str, Rules] = {}
    for task_id, read in sources:
        try:
            complete[task_id] = rules_by_task[task_id].with_secrets_of(require_readable(read(), "the input"))
        except Exception as fault:
            # A run cannot read it either, so there is nothing to hide.
            if not is_unreadable(fault):
                raise
    return complete
