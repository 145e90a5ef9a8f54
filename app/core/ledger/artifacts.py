"""Stores inputs and outputs that are too large for rows and events, and reads what may be shown of them.

A row holds a reference to such a value, `{"$artifact": {id, size, sha256, media_type, preview}}`, and so do events and
views. The whole value is stored for the run that continues from it; everything else shows the redacted value.
"""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import select
from sqlalchemy.orm import Session

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.errors import NotFound
from swallowtail.app.core.events import bearable, to_json
from swallowtail.app.core.ledger.event_log import Change
from swallowtail.app.core.payload_redaction.kept_values import is_fresh, make, note, read_text, shown_value, unseal_kept
from swallowtail.app.core.payload_redaction.rules import remember_new, rules_for, rules_of
from swallowtail.app.core.privacy.redaction_rules import Rules
from swallowtail.app.core.process.worker_thread import offload_by_size
from swallowtail.app.core.tables.artifacts import Artifact
from swallowtail.app.core.tables.column_encryption import keyring_of, seal_bytes, unseal_bytes
from swallowtail.app.core.tables.schedules import Schedule
from swallowtail.app.core.tables.tasks import Step, Task
from swallowtail.app.core.validation import Checked, check_kept

JSON, TEXT = "application/json", "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Content:
    """The part of an artifact that may be shown: its bytes, their media type, and their SHA-256 in hex."""

    id: str
    task_id: str | None
    schedule_id: str | None
    media_type: str
    content: bytes
    sha256: str


@dataclass(frozen=True, slots=True)
class Shown:
    """What an artifact shows, as it is sent, what kind of text that is, and what is kept of it."""

    media_type: str
    content: bytes
    kept: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ShownInput:
    """What may be shown of an input, computed before the transaction that stores it, which holds a lock.

    Args:
        rules: those for all of its agent's payloads, by which it was made.
        own: those that are also about the texts in its secret fields; of a schedule the same as `rules`.
        encoded: the whole input as JSON.
        kept: what is kept of it, when it is small enough for its row.
        apart: otherwise what its artifact shows.
    """

    rules: Rules
    own: Rules
    encoded: bytes
    kept: dict[str, Any] | None = None
    apart: Shown | None = None


def show_input(encoded: bytes, rules: Rules, settings: Settings, *, learning: bool = False) -> ShownInput:
    """Return what may be shown of a checked input, which is JSON; `learning`: the input of a schedule."""
    given = orjson.loads(encoded)
    own = rules if learning else rules.hiding(given)
    if len(encoded) <= settings.inline_input_bytes:
        return ShownInput(rules, own, encoded, kept=make(given, own, encoded, learning=learning))
    return ShownInput(rules, own, encoded, apart=_show(given, own, encoded, learning=learning))


def keep(change: Change, settings: Settings, task: Task, output: Any) -> tuple[Any, str | None, Any]:
    """Store an output that is too large for its event; one that is `Checked` is neither checked nor encoded again.

    Returns what the row is to hold: in its place, the artifact's id if any, and what is kept of what is shown of it.

    The same output of the same task is stored once.

    Raises:
        InvalidInput, TooLarge: see `check_kept`.
    """
    if isinstance(output, Checked):
        encoded = output.encoded
    else:
        encoded = to_json(output)
        check_kept(encoded, "output", settings)
    # As it will be read back, in a copy: the agent may change its own.
    output = orjson.loads(encoded)
    if output is None:
        return None, None, None
    rules = rules_of(change.session, task)
    if len(encoded) <= settings.inline_output_bytes:
        return output, None, make(output, rules, encoded)
    artifact_id = str(uuid.uuid5(uuid.UUID(task.id), hashlib.sha256(encoded).hexdigest()))
    shown = _show(output, rules, encoded)
    row, reference = _make(change, settings, task, artifact_id, encoded, shown)
    if change.session.get(Artifact, artifact_id) is None:
        change.session.add(row)
        change.session.flush()
    return reference, artifact_id, None


def separate_input(change: Change, settings: Settings, task: Task, shown_input: ShownInput | None) -> Artifact | None:
    """Take an input that is too large for it out of the row of a new task, which then holds a reference.

    What may be shown of the input is computed here only if it was not computed before by the same rules.

    Returns the artifact, which is to be added after the task. The row is given what is kept of what is shown.

    Raises:
        InvalidInput, TooLarge: see `check_kept`.
    """
    rules = rules_for(change.session, task.instance_id, task.kind)
    if shown_input is None or shown_input.rules != rules:
        encoded = to_json(task.input)
        check_kept(encoded, "input", settings)
        shown_input = offload_by_size(change.session, len(encoded))(show_input, encoded, rules, settings)
    task.secrets = remember_new(change.session, task, rules, shown_input.own)
    if shown_input.apart is None:
        task.input_shown = shown_input.kept
        return None
    # An id that no output has: who may see outputs may not see inputs.
    artifact_id = str(uuid.uuid5(uuid.UUID(task.id), "input"))
    row, reference = _make(change, settings, task, artifact_id, shown_input.encoded, shown_input.apart)
    task.input, task.input_artifact_id = reference, artifact_id
    return row


def separate_schedule_input(
    change: Change, settings: Settings, schedule: Schedule, shown_input: ShownInput
) -> Artifact | None:
    """Give a new schedule its input, or a reference to it where it is too large; returns the artifact, as above."""
    if shown_input.apart is None:
        schedule.input, schedule.input_shown = orjson.loads(shown_input.encoded), shown_input.kept
        return None
    artifact_id = str(uuid.uuid5(uuid.UUID(schedule.id), "input"))
    row, reference = _make(change, settings, schedule, artifact_id, shown_input.encoded, shown_input.apart)
    # No preview: a schedule stays, and what may be shown of it can become less.
    del reference["$artifact"]["preview"]
    schedule.input, schedule.input_artifact_id = reference, artifact_id
    return row


def _make(
    change: Change, settings: Settings, owner: Task | Schedule, artifact_id: str, encoded: bytes, shown: Shown
) -> tuple[Artifact, dict[str, Any]]:
    """Return the row of an artifact, not added yet, and the reference to it."""
    row = Artifact(id=artifact_id, instance_id=owner.instance_id, media_type=shown.media_type)
    row.task_id, row.schedule_id = (owner.id, None) if isinstance(owner, Task) else (None, owner.id)
    row.size, row.sha256, row.created_at = len(shown.content), hashlib.sha256(shown.content).hexdigest(), change.now
    row.content, row.key_id = seal_bytes(keyring_of(change.session), artifact_id, encoded)
    row.content_shown = shown.kept
    reference = {
        "id": artifact_id,
        "size": row.size,
        "sha256": row.sha256,
        "media_type": shown.media_type,
        "preview": shown.content[: 4 * settings.preview_chars].decode("utf-8", "ignore")[: settings.preview_chars],
    }
    return row, {"$artifact": reference}


def is_input(session: Session, artifact_id: str) -> bool:
    """Tell whether an artifact is the input of its task, or of a schedule."""
    same = (Artifact.id == artifact_id, Task.id == Artifact.task_id, Task.input_artifact_id == artifact_id)
    of_plan = select(Schedule.id).where(Schedule.id == Artifact.schedule_id, Artifact.id == artifact_id)
    return any(session.scalar(query) is not None for query in (select(Task.id).where(*same), of_plan))


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
    """Return what may be shown of an artifact. Raises NotFound."""
    row = _find(session, artifact_id)
    keyring, learning = keyring_of(session), row.task_id is None
    if learning:
        schedule = session.get_one(Schedule, row.schedule_id)
        rules = rules_for(session, schedule.instance_id, schedule.kind)
    else:
        rules = rules_of(session, session.get_one(Task, row.task_id))
    stored = read_text(session, Artifact, row.id, "content_shown")

    def work() -> tuple[Content, Any]:
        encoded = unseal_bytes(keyring, row.id, row.content, row.key_id)
        kept = unseal_kept(keyring, Artifact, row.id, "content_shown", stored)
        is_new = not is_fresh(kept, rules, encoded)
        if is_new:
            kept = _show(bearable(orjson.loads(encoded)), rules, encoded, learning=learning).kept
        media_type, shown = _open(kept, encoded)
        digest = hashlib.sha256(shown).hexdigest()
        return Content(row.id, row.task_id, row.schedule_id, media_type, shown, digest), kept if is_new else None

    found, made = offload_by_size(session, len(row.content))(work)
    if made is not None:
        note(session, Artifact, row.id, "content_shown", made)
    content: Content = found
    return content


def find_owner(session: Session, artifact_id: str) -> tuple[str | None, str | None]:
    """Return the id of the task that an artifact belongs to, or of the schedule. Raises NotFound."""
    found = session.execute(select(Artifact.task_id, Artifact.schedule_id).where(Artifact.id == artifact_id)).first()
    if found is None:
        raise NotFound("there is no such artifact", field="artifact_id")
    return found.task_id, found.schedule_id


def _find(session: Session, artifact_id: str) -> Artifact:
    row = session.get(Artifact, artifact_id)
    if row is None:
        raise NotFound("there is no such artifact", field="artifact_id")
    return row


def _content(session: Session, row: Artifact) -> bytes:
    return unseal_bytes(keyring_of(session), row.id, row.content, row.key_id)


def _show(value: Any, rules: Rules, encoded: bytes, *, learning: bool = False) -> Shown:
    """Return what an artifact shows of a value, which is `encoded` as JSON; `learning`: see `core/payload_redaction/kept_values.make`."""
    kept = make(value, rules, encoded, learning=learning)
    if "as" in kept:
        text = shown_value(kept, value)
        # As the text that is sent, which is not parsed again.
        kept["as"] = text if isinstance(text, str) else to_json(text).decode()
    return Shown(*_open(kept, encoded), kept)


def _open(kept: dict[str, Any], encoded: bytes) -> tuple[str, bytes]:
    """Return the media type and the bytes that are shown: text as it is, anything else as JSON."""
    is_text = encoded.startswith(b'"')
    text: str | None = shown_value(kept, None)
    if text is None:
        return (TEXT, orjson.loads(encoded).encode()) if is_text else (JSON, encoded)
    return TEXT if is_text else JSON, text.encode()
