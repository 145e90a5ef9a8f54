"""Checks a submission against its agent's card and makes the task that the ledger stores."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from swallowtail.app.core.call_context import CallContext
from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.errors import InvalidInput
from swallowtail.app.core.events import now, to_json
from swallowtail.app.core.ledger.agent_cards import PROBE, AgentCard, as_card, find_card, validate_input
from swallowtail.app.core.ledger.artifacts import RedactedInput, redact_input
from swallowtail.app.core.ledger.tasks import CheckedTask, SubmissionBasis
from swallowtail.app.core.payload_redaction.rules import rules_for
from swallowtail.app.core.privacy.redaction import redact_text
from swallowtail.app.core.process.offload import looks_small, run_here
from swallowtail.app.core.schemas.tasks import NewTask
from swallowtail.app.core.validation import check_encoded, check_instance_id, check_json, check_line

#: Maximum number of seconds that a submission may wait for a worker: a year.
_LONGEST_EXPIRY = 366 * 24 * 3600.0
#: In characters; a redaction marker may be longer than what it hides.
_LONGEST_TITLE = 200


def check_submission(
    session: Session,
    context: CallContext,
    instance_id: str,
    new: NewTask,
    *,
    idempotency_key: str | None = None,
    submitted_by: str = "api",
) -> CheckedTask:
    """Check everything about a submission except that its instance exists. Raises InvalidInput, TooLarge."""
    basis = read_basis(session, context, instance_id, new.kind)
    return check_against(basis, context, instance_id, new, idempotency_key=idempotency_key, submitted_by=submitted_by)


def read_basis(session: Session, context: CallContext, instance_id: str, kind: str) -> SubmissionBasis:
    """Read what submissions of a kind are checked against. Raises InvalidInput if there is no such agent."""
    check_instance_id(instance_id)
    kind = check_line(kind, "kind", longest=100)
    if kind == PROBE and not context.settings.has_probe:
        raise InvalidInput("the agent 'probe' is disabled; SWALLOWTAIL_PROBE=on enables it", field="kind")
    return SubmissionBasis(as_card(find_card(session, kind)), rules_for(session, instance_id, kind))


def check_against(
    basis: SubmissionBasis,
    context: CallContext,
    instance_id: str,
    new: NewTask,
    *,
    idempotency_key: str | None = None,
    submitted_by: str = "api",
) -> CheckedTask:
    """Check a submission without a database. Raises InvalidInput, TooLarge."""
    settings, card = context.settings, basis.card
    compute = run_here if looks_small(new.input) else context.offload
    compute(check_json, new.input, "input", settings)
    if idempotency_key is not None:
        idempotency_key = check_line(idempotency_key, "Idempotency-Key", longest=200)
    expires_at = _find_expiry(new.expires_in)
    payload, encoded = compute(_complete, card, new.input, settings)
    redacted: RedactedInput = compute(redact_input, encoded, basis.rules, settings)
    title = card.title if new.title is None else check_line(new.title, "title", longest=_LONGEST_TITLE)
    identity = [card.kind, payload, title, new.expires_in]
    return CheckedTask(
        instance_id=instance_id,
        kind=card.kind,
        # It is shown in many places, so secrets are hidden in it as well.
        title=redact_text(title, redacted.own)[:_LONGEST_TITLE],
        input=payload,
        fingerprint=compute(lambda: hashlib.sha256(to_json(identity)).hexdigest()),
        submitted_by=check_line(submitted_by, "submitted_by", longest=100),
        idempotency_key=idempotency_key,
        expires_at=expires_at,
        soft_time_limit=card.soft_time_limit,
        hard_time_limit=card.hard_time_limit,
        redacted_input=redacted,
    )


def _complete(card: AgentCard, payload: Any, settings: Settings) -> tuple[Any, bytes]:
    """Return an input with the defaults of its agent's schema, which may make it larger, and the same as JSON."""
    payload = validate_input(card, payload)
    encoded = to_json(payload)
    check_encoded(encoded, "input", settings)
    return payload, encoded


def _find_expiry(seconds: float | None) -> datetime | None:
    if seconds is None:
        return None
    if not 0 < seconds <= _LONGEST_EXPIRY:
        raise InvalidInput("expires_in must be a number of seconds, more than 0 and at most a year", field="expires_in")
    return now() + timedelta(seconds=seconds)
