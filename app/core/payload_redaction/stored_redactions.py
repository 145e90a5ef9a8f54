"""Redacts payloads once and stores the result beside them, until the rules change.

A column `…_shown` has `{"of": hash}` if nothing in the value is hidden, else `{"of": hash, "as": redacted}`. The hash
covers the value and all that decides what is hidden. With another hash, the redaction is computed again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

from sqlalchemy import Text, bindparam, cast, select, update
from sqlalchemy.orm import Session

from swallowtail.app.core.events import limit_depth, to_json
from swallowtail.app.core.privacy.keyring import KeyMissing, Keyring, Tampered
from swallowtail.app.core.privacy.redaction import redact
from swallowtail.app.core.privacy.redaction_rules import VERSION, Rules
from swallowtail.app.core.privacy.secret_patterns import EMAIL, PATTERNS
from swallowtail.app.core.process.offload import offload_for
from swallowtail.app.core.tables.base import Base
from swallowtail.app.core.tables.column_encryption import decrypt_value, encrypt_value, keyring_of
from swallowtail.app.core.tables.unreadable import deserialize, is_mark

#: Key in `Session.info` of the redactions to store, by model, id and column.
NEW_REDACTIONS = "new_redactions"
NewRedactions = dict[tuple[type[Base], str, str], Any]

_OF, _AS = "of", "as"
_PATTERNS = hashlib.sha256(repr((VERSION, [(one.kind, one.secret.pattern) for one in (*PATTERNS, EMAIL)])).encode())


@lru_cache(maxsize=256)
def fingerprint(rules: Rules) -> str:
    """Return a hash of the rules and of this version's patterns, in hex."""
    parts = [sorted(rules.names), rules.emails, rules.values, rules.all, rules.hides_all, rules.most_values]
    digest = _PATTERNS.copy()
    digest.update(to_json(parts))
    return digest.hexdigest()


def make_redaction(value: Any, rules: Rules, encoded: bytes) -> dict[str, Any]:
    """Return the redaction to store of a value, `encoded` as JSON."""
    redacted = redact(value, rules.with_secrets_of(value) if rules.hides_own else rules, encoded)
    redaction = {_OF: _hash(encoded, rules)}
    return redaction if redacted == value else {**redaction, _AS: redacted}


def is_fresh(redaction: Any, rules: Rules, encoded: bytes) -> bool:
    """Return whether a stored redaction is of this value, `encoded` as JSON, and of these rules."""
    return isinstance(redaction, dict) and redaction.get(_OF) == _hash(encoded, rules)


def shown_value(redaction: Any, value: Any) -> Any:
    """Return the redacted value from its stored redaction; the value itself if there is none."""
    return value if redaction is None else redaction.get(_AS, value)


def show_payload(session: Session, row: Any, column: str, rules: Rules) -> Any:
    """Return a row's redacted payload, stored or computed. `row` may be of another session."""
    value, name = getattr(row, column), f"{column}_shown"
    if value is None:
        return None
    find = _stored_reader(session, row, name)
    payload, new = offload_for(session, value)(_show, value, rules, find)
    if new is not None:
        note_redaction(session, type(row), row.id, name, new)
    return payload


def _show(value: Any, rules: Rules, find: Callable[[], Any]) -> tuple[Any, Any]:
    """Return the redacted value, and the redaction to store unless it is stored already."""
    value = limit_depth(value)
    encoded = to_json(value)
    if is_mark(value):
        return redact(value, rules, encoded), None
    redaction = find()
    if is_fresh(redaction, rules, encoded):
        return shown_value(redaction, value), None
    new = make_redaction(value, rules, encoded)
    return shown_value(new, value), new


def note_redaction(session: Session, model: type[Base], row_id: str, column: str, redaction: Any) -> None:
    """Schedule a redaction to be stored at the end of this session's transaction, or after one that only reads."""
    redactions: NewRedactions = session.info.setdefault(NEW_REDACTIONS, {})
    redactions[model, row_id, column] = redaction


def store_redactions(session: Session, redactions: NewRedactions) -> None:
    """Store redactions with the rows that still exist, except rows that are locked."""
    keyring = keyring_of(session)
    for model, column in {(model, column) for model, _, column in redactions}:
        table: Any = model.__table__
        fresh = {row_id: new for (kind, row_id, name), new in redactions.items() if (kind, name) == (model, column)}
        free = select(table.c.id).where(table.c.id.in_(fresh)).with_for_update(skip_locked=True)
        rows = [
            {"row": row_id, "redaction": encrypt_value(keyring, model, row_id, column, fresh[row_id])}
            for row_id in session.scalars(free)
        ]
        if rows:
            statement = update(table).where(table.c.id == bindparam("row")).values({column: bindparam("redaction")})
            session.connection().execute(statement, rows)


def decrypt_redaction(keyring: Keyring, model: type[Base], row_id: str, column: str, stored: str | None) -> Any:
    """Return a stored redaction; None if it cannot be decrypted. `stored` is the text of its column."""
    try:
        return None if stored is None else decrypt_value(keyring, model, row_id, column, deserialize(stored))
    except (KeyMissing, Tampered):
        return None


def _hash(encoded: bytes, rules: Rules) -> str:
    return hashlib.sha256(fingerprint(rules).encode() + encoded).hexdigest()


def _stored_reader(session: Session, row: Any, name: str) -> Callable[[], Any]:
    """Return a function that reads the stored redaction, for the worker thread."""
    if name in row.__dict__:
        return partial(row.__dict__.get, name)
    text = read_text(session, type(row), row.id, name)
    return partial(decrypt_redaction, keyring_of(session), type(row), row.id, name, text)


def read_text(session: Session, model: Any, row_id: str, column: str) -> str | None:
    """Return the stored text of a row's column."""
    text: str | None = session.scalar(select(cast(getattr(model, column), Text)).where(model.id == row_id))
    return text
