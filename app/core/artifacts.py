"""Large outputs, kept apart from the events that tell of them. On the road beside `core/runs`, which stores them.

A row that is too large for its event holds a reference, `{"$artifact": {id, size, sha256, media_type, preview}}`, and
the event tells the same. What is stored is the whole output, for the run that goes on from it; what anybody else gets
is redacted as everything is.
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
from app.core.log import Change
from app.core.models import Step, Task
from app.core.models_privacy import Artifact
from app.core.policy import rules_of
from app.core.redaction import redact
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


def keep(change: Change, settings: Settings, task: Task, output: Any) -> tuple[Any, str | None]:
    """Store an output that is too large for its event. Returns what the row is to hold, and the artifact's id if any.

    The same output of the same task is stored once.

    Raises:
        InvalidInput, TooLarge: see `check_kept`.
    """
    encoded = to_json(output)
    check_kept(encoded, "output", settings)
    if len(encoded) <= settings.inline_output_bytes:
        return output, None
    artifact_id = str(uuid.uuid5(uuid.UUID(task.id), hashlib.sha256(encoded).hexdigest()))
    media_type, shown = _show(redact(output, rules_of(change.session, task), encoded))
    digest = hashlib.sha256(shown).hexdigest()
    if change.session.get(Artifact, artifact_id) is None:
        row = Artifact(id=artifact_id, instance_id=task.instance_id, task_id=task.id, media_type=media_type)
        row.size, row.sha256, row.created_at = len(shown), digest, change.now
        row.content, row.key_id = seal_bytes(keyring_of(change.session), artifact_id, encoded)
        change.session.add(row)
        change.session.flush()
    reference = {
        "id": artifact_id,
        "size": len(shown),
        "sha256": digest,
        "media_type": media_type,
        "preview": shown.decode("utf-8", "replace")[: settings.preview_chars],
    }
    return {"$artifact": reference}, artifact_id


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
    media_type, shown = _show(redact(orjson.loads(encoded), rules_of(session, task), encoded))
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


def _show(value: Any) -> tuple[str, bytes]:
    """Return the media type and the bytes of a value: text as it is, anything else as JSON."""
    return (TEXT, value.encode()) if isinstance(value, str) else (JSON, to_json(value))
