"""Checks a submission against its agent's card and makes the task that the ledger stores."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from swallowtail.app.core.call_context import CallContext
from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.errors import InvalidInput
from swallowtail.app.core.events import now, to_json
from swallowtail.app.core.ledger.agent_cards import PROBE, find_card, validate_input
from swallowtail.app.core.ledger.artifacts import ShownInput, show_input
from swallowtail.app.core.ledger.tasks import NewTask
from swallowtail.app.core.payload_redaction.rules import rules_for
from swallowtail.app.core.privacy.text_redaction import redact_text
from swallowtail.app.core.process.worker_thread import here, looks_small
from swallowtail.app.core.tables.system import Agent
from swallowtail.app.core.validation import check_instance_id, check_json, check_kept, check_line

#: Seconds that a submission may wait for a worker at most: a year.
_LONGEST_EXPIRY = 366 * 24 * 3600.0
#: In characters; a redaction marker may be longer than what it hides.
_LONGEST_TITLE = 200


@dataclass(frozen=True, slots=True)
class Submission:
    """A task to submit. `expires_in` is the number of seconds in which a worker must claim it."""

    instance_id: str
    kind: str
    input: Any = None
    title: str | None = None
    idempotency_key: str | None = None
    expires_in: float | None = None
    submitted_by: str = "api"


def check_submission(session: Session, context: CallContext, wanted: Submission) -> NewTask:
    """Check everything about a submission but whether its instance exists; return the new task.

    Raises:
        InvalidInput: names the field that is wrong.
        TooLarge: the input is larger than allowed.
    """
    settings = context.settings
    check_instance_id(wanted.instance_id)
    kind = check_line(wanted.kind, "kind", longest=100)
    if kind == PROBE and not settings.has_probe:
        raise InvalidInput("the agent 'probe' is disabled; SWALLOWTAIL_PROBE=on enables it", field="kind")
    compute = here if looks_small(wanted.input) else context.offload
    compute(check_json, wanted.input, "input", settings)
    key = wanted.idempotency_key
    if key is not None:
        key = check_line(key, "Idempotency-Key", longest=200)
    expires_at = _find_expiry(wanted.expires_in)
    card = find_card(session, kind)
    payload, encoded = compute(_complete, card, wanted.input, settings)
    rules = rules_for(session, wanted.instance_id, kind)
    shown: ShownInput = compute(show_input, encoded, rules, settings)
    title = card.title if wanted.title is None else check_line(wanted.title, "title", longest=_LONGEST_TITLE)
    identity = [kind, payload, title, wanted.expires_in]
    return NewTask(
        instance_id=wanted.instance_id,
        kind=kind,
        # It is shown in many places, so secrets are hidden in it as well.
        title=redact_text(title, shown.own)[:_LONGEST_TITLE],
        input=payload,
        fingerprint=compute(lambda: hashlib.sha256(to_json(identity)).hexdigest()),
        submitted_by=check_line(wanted.submitted_by, "submitted_by", longest=100),
        idempotency_key=key,
        expires_at=expires_at,
        soft_time_limit=card.soft_time_limit,
        hard_time_limit=card.hard_time_limit,
        shown_input=shown,
    )


def _complete(card: Agent, payload: Any, settings: Settings) -> tuple[Any, bytes]:
    """Return an input with the defaults of its agent's schema, which may make it larger, and the same as JSON."""
    payload = validate_input(card, payload)
    encoded = to_json(payload)
    check_kept(encoded, "input", settings)
    return payload, encoded


def _find_expiry(seconds: float | None) -> datetime | None:
    if seconds is None:
        return None
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds <= _LONGEST_EXPIRY:
        raise InvalidInput("expires_in must be seconds, more than 0 and at most a year", field="expires_in")
    return now() + timedelta(seconds=seconds)
