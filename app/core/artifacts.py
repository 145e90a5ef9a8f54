"""Large inputs and outputs, kept apart from rows and events. On the road beside `core/runs`, which stores them.

A row holds a reference to what is too large for it, `{"$artifact": {id, size, sha256, media_type, preview}}`, and
events and views tell the same. What is stored is the whole value, for the run that goes on from it; what anybody else
gets is redacted as everything is.
"""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.core.errors import NotFound
from app.core.events import to_json
from app.core.kept import make
from app.core.log import Change
from app.core.models import Step, Task
from app.core.models_privacy import Artifact
from app.core.offload import place
from app.core.policy import remember_new, rules_for, rules_of
from app.core.redaction import Rules, redact
from app.core.sealing import keyring_of, seal_bytes, unseal_bytes
from app.core.settings import Settings
from app.core.validate import check_kept

JSON, TEXT = "application/json", "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Content:
    """What somebody gets of an artifact: its bytes, what kind they are, and their SHA-256 in hex."""

    id: str
    task_id: str
    media_type: str
    content: bytes
    sha256: str


@dataclass(frozen=True, slots=True)
class Told:
    """What is told of an input, made before the transaction that stores it, which holds a lock.

    Args:
        rules: those for all of its agent's payloads, by which it was made.
        own: those that are also about the texts in its secret fields.
        encoded: the whole input as JSON.
        kept: what is kept of it, when it is small enough for its row.
        apart: otherwise the media type and the bytes that its artifact shows.
    """

    rules: Rules
    own: Rules
    encoded: bytes
    kept: dict[str, Any] | None = None
    apart: tuple[str, bytes] | None = None


def tell(encoded: bytes, rules: Rules, settings: Settings) -> Told:
    """Return what is told of a checked input, as JSON. It only computes."""
    given = orjson.loads(encoded)
    own = rules.hiding(given)
    if len(encoded) <= settings.inline_input_bytes:
        return Told(rules, own, encoded, kept=make(given, own, encoded))
    return Told(rules, own, encoded, apart=_show(redact(given, own, encoded)))


def keep(change: Change, settings: Settings, task: Task, output: Any) -> tuple[Any, str | None, Any]:
    """Store an output that is too large for its event.

    Returns what the row is to hold: in its place, the artifact's id if any, and what is kept of what is shown of it.

    The same output of the same task is stored once.

    Raises:
        InvalidInput, TooLarge: see `check_kept`.
    """
    encoded = to_json(output)
    check_kept(encoded, "output", settings)
    if len(encoded) <= settings.inline_output_bytes:
        if output is None:
            return None, None, None
        # As it will be read back.
        output = orjson.loads(encoded)
        return output, None, make(output, rules_of(change.session, task), encoded)
    artifact_id = str(uuid.uuid5(uuid.UUID(task.id), hashlib.sha256(encoded).hexdigest()))
    shown = _hide(change.session, output, rules_of(change.session, task), encoded)
    row, reference = _make(change, settings, task, artifact_id, encoded, shown)
    if change.session.get(Artifact, artifact_id) is None:
        change.session.add(row)
        change.session.flush()
    return reference, artifact_id, None


def part_input(change: Change, settings: Settings, task: Task, told: Told | None) -> Artifact | None:
    """Take an input that is too large for it out of the row of a new task, which then holds a reference.

    What is `told` of the input is made here only where it was not made before, or by other rules.

    Returns the artifact, which is to be added after the task. The row is given what is kept of what is shown.

    Raises:
        InvalidInput, TooLarge: see `check_kept`.
    """
    rules = rules_for(change.session, task.instance_id, task.kind)
    if told is None or told.rules != rules:
        encoded = to_json(task.input)
        check_kept(encoded, "input", settings)
        told = place(change.session, len(encoded))(tell, encoded, rules, settings)
    remember_new(change.session, task, rules, told.own)
    if told.apart is None:
        task.input_shown = told.kept
        return None
    # No output's, whatever it is: who may see outputs may not see inputs for that.
    artifact_id = str(uuid.uuid5(uuid.UUID(task.id), "input"))
    row, reference = _make(change, settings, task, artifact_id, told.encoded, told.apart)
    task.input, task.input_artifact_id = reference, artifact_id
    return row


def _make(
    change: Change, settings: Settings, task: Task, artifact_id: str, encoded: bytes, told: tuple[str, bytes]
) -> tuple[Artifact, dict[str, Any]]:
    """Return the row of an artifact, not added yet, and the reference to it."""
    media_type, shown = told
    row = Artifact(id=artifact_id, instance_id=task.instance_id, task_id=task.id, media_type=media_type)
    row.size, row.sha256, row.created_at = len(shown), hashlib.sha256(shown).hexdigest(), change.now
    row.content, row.key_id = seal_bytes(keyring_of(change.session), artifact_id, encoded)
    reference = {
        "id": artifact_id,
        "size": row.size,
        "sha256": row.sha256,
        "media_type": media_type,
        "preview": shown.decode("utf-8", "replace")[: settings.preview_chars],
    }
    return row, {"$artifact": reference}


def is_input(session: Session, artifact_id: str) -> bool:
    """Tell whether an artifact is the input of its task."""
    same = (Artifact.id == artifact_id, Task.id == Artifact.task_id, Task.input_artifact_id == artifact_id)
    return session.scalar(select(Task.id).where(*same)) is not None


def whole(session: Session, row: Task | Step) -> Any:
    """Return the output of a step, or the result of a task, as the agent gave it, wherever it is.

    Raises:
        NotFound: the artifact is gone.
    """
    value = row.output if isinstance(row, Step) else row.result
    if row.artifact_id is None:
        return value
    return orjson.loads(_content(session, _find(session, row.artifact_id)))


def read_artifact(session: Session, artifact_id: str) -> Content:
    """Return what anybody may see of an artifact. Raises NotFound."""
    row = _find(session, artifact_id)
    task = session.get_one(Task, row.task_id)
    encoded = _content(session, row)
    media_type, shown = _hide(session, None, rules_of(session, task), encoded)
    return Content(row.id, row.task_id, media_type, shown, hashlib.sha256(shown).hexdigest())


def find_task(session: Session, artifact_id: str) -> str:
    """Return the id of the task that an artifact belongs to. Raises NotFound."""
    task_id = session.scalar(select(Artifact.task_id).where(Artifact.id == artifact_id))
    if task_id is None:
        raise NotFound("there is no such artifact", field="artifact_id")
    return task_id


def _find(session: Session, artifact_id: str) -> Artifact:
    row = session.get(Artifact, artifact_id)
    if row is None:
        raise NotFound("there is no such artifact", field="artifact_id")
    return row


def _content(session: Session, row: Artifact) -> bytes:
    return unseal_bytes(keyring_of(session), row.id, row.content, row.key_id)


def _hide(session: Session, value: Any, rules: Rules, encoded: bytes) -> tuple[str, bytes]:
    """Return the media type and the bytes of what may be seen of a value; None: it is read from its JSON."""

    def work() -> tuple[str, bytes]:
        return _show(redact(orjson.loads(encoded) if value is None else value, rules, encoded))

    told: tuple[str, bytes] = place(session, len(encoded))(work)
    return told


def _show(value: Any) -> tuple[str, bytes]:
    """Return the media type and the bytes of a value: text as it is, anything else as JSON."""
    return (TEXT, value.encode()) if isinstance(value, str) else (JSON, to_json(value))
