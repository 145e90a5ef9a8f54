"""What is shown of a payload, kept beside it in its row: redacted once, and again only by other rules. Beside the road.

A column `…_shown` holds `{"of": hash}` where nothing is hidden in the value, and `{"of": hash, "as": redacted}` where
something is. The hash is of the value and of all that decides what is hidden in it: what is kept of another value, or
was made by other rules or another version of ours, is not looked at, and made anew.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache, partial
from typing import Any

from sqlalchemy import bindparam, select, update
from sqlalchemy.orm import Session

from app.core.events import bearable, to_json
from app.core.keyring import KeyMissing, Keyring, Tampered
from app.core.models import Base
from app.core.offload import place
from app.core.patterns import EMAIL, PATTERNS
from app.core.redaction import EDITION, Rules, redact
from app.core.sealing import keyring_of, seal, unseal
from app.core.unreadable import is_mark

#: Key in `Session.info` of what was made in a session and is to be kept: by model, id and column.
MADE = "made"
Made = dict[tuple[type[Base], str, str], Any]

_OF, _AS = "of", "as"
_PATTERNS = hashlib.sha256(repr((EDITION, [(one.kind, one.found.pattern) for one in (*PATTERNS, EMAIL)])).encode())


@lru_cache(maxsize=256)
def fingerprint(rules: Rules) -> str:
    """Return what tells rules, and this version's way of going by them, from all others, in hex."""
    told = [sorted(rules.names), rules.emails, rules.values, rules.all, rules.mute, rules.most_values]
    digest = _PATTERNS.copy()
    digest.update(to_json(told))
    return digest.hexdigest()


def make(value: Any, rules: Rules, encoded: bytes, *, learning: bool = False) -> dict[str, Any]:
    """Return what is to be kept of a JSON value that is `encoded` as JSON.

    `learning`: the texts in its own secret fields are hidden wherever else they are in it.
    """
    told = redact(value, rules.hiding(value) if learning else rules, encoded)
    kept = {_OF: _hash(encoded, rules)}
    return kept if told == value else {**kept, _AS: told}


def told_by(kept: Any, value: Any) -> Any:
    """Return what may be seen of a value by what is kept of it; the value itself where nothing is."""
    return value if kept is None else kept.get(_AS, value)


def show(session: Session, row: Any, column: str, rules: Rules, *, learning: bool = False) -> Any:
    """Return what may be seen of a row's payload; what is not kept yet is made, where it holds nobody up, and noted.

    `row` may have been read in another session. `learning`: see `make`.
    """
    value = getattr(row, column)
    if value is None:
        return None
    value = bearable(value)
    encoded = to_json(value)
    if is_mark(value):
        return redact(value, rules, encoded)
    name = f"{column}_shown"
    kept = _find(session, row, name)
    if not isinstance(kept, dict) or kept.get(_OF) != _hash(encoded, rules):
        kept = place(session, len(encoded))(partial(make, learning=learning), value, rules, encoded)
        note(session, type(row), row.id, name, kept)
    return told_by(kept, value)


def note(session: Session, model: type[Base], row_id: str, column: str, kept: Any) -> None:
    """Have something kept with its row after the transaction of this session."""
    made: Made = session.info.setdefault(MADE, {})
    made[model, row_id, column] = kept


def store(session: Session, made: Made) -> None:
    """Keep what was made with those of the rows that are still there. Waits for no row that somebody else holds."""
    keyring = keyring_of(session)
    for model, column in {(model, column) for model, _, column in made}:
        table: Any = model.__table__
        fresh = {row_id: kept for (kind, row_id, name), kept in made.items() if (kind, name) == (model, column)}
        free = select(table.c.id).where(table.c.id.in_(fresh)).with_for_update(skip_locked=True)
        rows = [
            {"row": row_id, "kept": seal(keyring, model, row_id, column, fresh[row_id])}
            for row_id in session.scalars(free)
        ]
        if rows:
            statement = update(table).where(table.c.id == bindparam("row")).values({column: bindparam("kept")})
            session.connection().execute(statement, rows)


def unsealed(keyring: Keyring, model: type[Base], row_id: str, column: str, stored: Any) -> Any:
    """Return what is kept, as it was made; None where that cannot be opened."""
    try:
        return unseal(keyring, model, row_id, column, stored)
    except (KeyMissing, Tampered):
        return None


def _hash(encoded: bytes, rules: Rules) -> str:
    return hashlib.sha256(fingerprint(rules).encode() + encoded).hexdigest()


def _find(session: Session, row: Any, name: str) -> Any:
    if name in row.__dict__:
        return row.__dict__[name]
    model = type(row)
    stored = session.scalar(select(getattr(model, name)).where(model.id == row.id))
    return unsealed(keyring_of(session), model, row.id, name, stored)
