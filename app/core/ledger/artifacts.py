"""Stores inputs and outputs that are too large for rows and events as artifacts, and reads their redacted content.

Rows, events and views hold a reference instead, `{"$artifact": {id, size, sha256, media_type, preview}}`. Runs read the
whole value; everything else shows the redacted one.
"""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass, replace
from typing import Any

import orjson
from sqlalchemy import select
from sqlalchemy.orm import Session

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.errors import NotFound
from swallowtail.app.core.events import limit_depth, to_json
from swallowtail.app.core.ledger.event_log import Change
from swallowtail.app.core.payload_redaction.rules import remember_new, rules_for, rules_of
from swallowtail.app.core.payload_redaction.stored_redactions import (
    decrypt_redaction,
    is_fresh,
    make_redaction,
    note_redaction,
    read_text,
    shown_value,
)
from swallowtail.app.core.privacy.redaction_rules import Rules
from swallowtail.app.core.process.offload import offload_by_size
from swallowtail.app.core.tables.artifacts import Artifact
from swallowtail.app.core.tables.column_encryption import decrypt_bytes, encrypt_bytes, keyring_of
from swallowtail.app.core.tables.schedules import Schedule
from swallowtail.app.core.tables.tasks import Step, Task
from swallowtail.app.core.validation import CheckedJson, check_encoded

JSON, TEXT = "application/json", "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class ArtifactContent:
    """The redacted bytes of an artifact, their media type, and their SHA-256 in hex."""

    id: str
    task_id: str | None
    schedule_id: str | None
    media_type: str
    content: bytes
    sha256: str


@dataclass(frozen=True, slots=True)
class RedactedContent:
    """The redacted bytes of an artifact, and the redaction to store with it."""

    media_type: str
    content: bytes
    redaction: dict[str, Any]


@dataclass(frozen=True, slots=True)
class RedactedInput:
    """An input that was redacted before the transaction that stores it, which holds a lock."""

    rules: Rules
    #: The same rules, which also hide the texts in its secret fields; of a schedule without these.
    own: Rules
    #: The whole input as JSON.
    encoded: bytes
    #: The redaction to store if the input is small enough for its row; otherwise the content of its artifact.
    redaction: dict[str, Any] | None = None
    artifact: RedactedContent | None = None


def redact_input(encoded: bytes, rules: Rules, settings: Settings) -> RedactedInput:
    """Redact a checked input, which is JSON."""
    payload = orjson.loads(encoded)
    own = rules if rules.hides_own else rules.with_secrets_of(payload)
    if len(encoded) <= settings.inline_input_bytes:
        return RedactedInput(rules, own, encoded, redaction=make_redaction(payload, own, encoded))
    return RedactedInput(rules, own, encoded, artifact=_redact(payload, own, encoded))


def store_output(change: Change, settings: Settings, task: Task, output: Any) -> tuple[Any, str | None, Any]:
    """Store an output in an artifact if it is too large for its event; the same output of a task is stored once.

    Returns the row's values: the output or a reference, the artifact's id if any, and the redaction. Raises
    InvalidInput or TooLarge unless the output is `CheckedJson`.
    """
    if isinstance(output, CheckedJson):
        encoded = output.encoded
    else:
        encoded = to_json(output)
        check_encoded(encoded, "output", settings)
    # The value as readers will decode it, and a copy: the agent may change its own.
    output = orjson.loads(encoded)
    if output is None:
        return None, None, None
    rules = rules_of(change.session, task)
    if len(encoded) <= settings.inline_output_bytes:
        return output, None, make_redaction(output, rules, encoded)
    artifact_id = str(uuid.uuid5(uuid.UUID(task.id), hashlib.sha256(encoded).hexdigest()))
    row, reference = _make_row(change, settings, task, artifact_id, encoded, _redact(output, rules, encoded))
    if change.session.get(Artifact, artifact_id) is None:
        change.session.add(row)
        change.session.flush()
    return reference, artifact_id, None


def separate_input(change: Change, settings: Settings, task: Task, redacted: RedactedInput | None) -> Artifact | None:
    """Store the redaction with a new task, and replace an input that is too large for the row by a reference.

    `redacted` is computed here if it is missing or the rules have changed. Returns the artifact, if any, to be added
    after the task. Raises InvalidInput, TooLarge.
    """
    rules = rules_for(change.session, task.instance_id, task.kind)
    if redacted is None or redacted.rules != rules:
        encoded = to_json(task.input)
        check_encoded(encoded, "input", settings)
        redacted = offload_by_size(change.session, len(encoded))(redact_input, encoded, rules, settings)
    task.secrets = remember_new(change.session, task, rules, redacted.own)
    if redacted.artifact is None:
        task.input_shown = redacted.redaction
        return None
    # No output has this id: a reader of outputs may not read inputs.
    artifact_id = str(uuid.uuid5(uuid.UUID(task.id), "input"))
    row, reference = _make_row(change, settings, task, artifact_id, redacted.encoded, redacted.artifact)
    task.input, task.input_artifact_id = reference, artifact_id
    return row


def separate_schedule_input(
    change: Change, settings: Settings, schedule: Schedule, redacted: RedactedInput
) -> Artifact | None:
    """Set the input of a new schedule, or a reference to it if it is too large; return the artifact, as above."""
    if redacted.artifact is None:
        schedule.input, schedule.input_shown = orjson.loads(redacted.encoded), redacted.redaction
        return None
    artifact_id = str(uuid.uuid5(uuid.UUID(schedule.id), "input"))
    row, reference = _make_row(change, settings, schedule, artifact_id, redacted.encoded, redacted.artifact)
    # No preview: a schedule stays, and later rules may hide more of it.
    del reference["$artifact"]["preview"]
    schedule.input, schedule.input_artifact_id = reference, artifact_id
    return row


def _make_row(
    change: Change, settings: Settings, owner: Task | Schedule, artifact_id: str, encoded: bytes, shown: RedactedContent
) -> tuple[Artifact, dict[str, Any]]:
    """Return the row of an artifact, not added yet, and the reference to it."""
    row = Artifact(id=artifact_id, instance_id=owner.instance_id, media_type=shown.media_type)
    row.task_id, row.schedule_id = (owner.id, None) if isinstance(owner, Task) else (None, owner.id)
    row.size, row.sha256, row.created_at = len(shown.content), hashlib.sha256(shown.content).hexdigest(), change.now
    row.content, row.key_id = encrypt_bytes(keyring_of(change.session), artifact_id, encoded)
    row.content_shown = shown.redaction
    reference = {
        "id": artifact_id,
        "size": row.size,
        "sha256": row.sha256,
        "media_type": shown.media_type,
        "preview": shown.content[: 4 * settings.preview_chars].decode("utf-8", "ignore")[: settings.preview_chars],
    }
    return row, {"$artifact": reference}


def is_input(session: Session, artifact_id: str) -> bool:
    """Return whether an artifact is the input of its task or of a schedule."""
    same = (Artifact.id == artifact_id, Task.id == Artifact.task_id, Task.input_artifact_id == artifact_id)
    of_schedule = select(Schedule.id).where(Schedule.id == Artifact.schedule_id, Artifact.id == artifact_id)
    return any(session.scalar(query) is not None for query in (select(Task.id).where(*same), of_schedule))


def read_output(session: Session, row: Task | Step) -> Any:
    """Return the unredacted output of a step or result of a task. Raises NotFound if its artifact is gone."""
    value = row.output if isinstance(row, Step) else row.result
    if row.artifact_id is None:
        return value
    artifact = _find(session, row.artifact_id)
    return orjson.loads(decrypt_bytes(keyring_of(session), artifact.id, artifact.content, artifact.key_id))


def read_artifact(session: Session, artifact_id: str) -> ArtifactContent:
    """Return the redacted content of an artifact. Raises NotFound."""
    row = _find(session, artifact_id)
    keyring = keyring_of(session)
    if row.task_id is None:
        schedule = session.get_one(Schedule, row.schedule_id)
        rules = replace(rules_for(session, schedule.instance_id, schedule.kind), hides_own=True)
    else:
        rules = rules_of(session, session.get_one(Task, row.task_id))
    stored = read_text(session, Artifact, row.id, "content_shown")

    def work() -> tuple[ArtifactContent, Any]:
        encoded = decrypt_bytes(keyring, row.id, row.content, row.key_id)
        redaction = decrypt_redaction(keyring, Artifact, row.id, "content_shown", stored)
        is_new = not is_fresh(redaction, rules, encoded)
        if is_new:
            redaction = _redact(limit_depth(orjson.loads(encoded)), rules, encoded).redaction
        media_type, shown = _split(redaction, encoded)
        digest = hashlib.sha256(shown).hexdigest()
        content = ArtifactContent(row.id, row.task_id, row.schedule_id, media_type, shown, digest)
        return content, redaction if is_new else None

    content: ArtifactContent
    content, new_redaction = offload_by_size(session, len(row.content))(work)
    if new_redaction is not None:
        note_redaction(session, Artifact, row.id, "content_shown", new_redaction)
    return content


def find_owner(session: Session, artifact_id: str) -> tuple[str | None, str | None]:
    """Return the ids of the task and of the schedule of an artifact; it has one of them. Raises NotFound."""
    row = session.execute(select(Artifact.task_id, Artifact.schedule_id).where(Artifact.id == artifact_id)).first()
    if row is None:
        raise NotFound("there is no such artifact", field="artifact_id")
    return row.task_id, row.schedule_id


def _find(session: Session, artifact_id: str) -> Artifact:
    row = session.get(Artifact, artifact_id)
    if row is None:
        raise NotFound("there is no such artifact", field="artifact_id")
    return row


def _redact(value: Any, rules: Rules, encoded: bytes) -> RedactedContent:
    """Redact an artifact's value, `encoded` as JSON."""
    redaction = make_redaction(value, rules, encoded)
    if "as" in redaction:
        text = shown_value(redaction, value)
        # As the text that is sent, which is not parsed again.
        redaction["as"] = text if isinstance(text, str) else to_json(text).decode()
    return RedactedContent(*_split(redaction, encoded), redaction)


def _split(redaction: dict[str, Any], encoded: bytes) -> tuple[str, bytes]:
    """Return the media type and the redacted bytes: text as it is, anything else as JSON."""
    is_text = encoded.startswith(b'"')
    text: str | None = shown_value(redaction, None)
    if text is None:
        return (TEXT, orjson.loads(encoded).encode()) if is_text else (JSON, encoded)
    return TEXT if is_text else JSON, text.encode()
