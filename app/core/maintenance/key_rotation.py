"""Encrypts stored values again with the current key, and counts how many values each key encrypts.

Each batch is a transaction of its own. Values that the current key encrypts are skipped, so an interrupted rotation is
simply started again. Whole tables are read, in parts of bounded size.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from typing import cast as cast_type

import orjson
from sqlalchemy import JSON, ColumnElement, Table, Text, and_, case, cast, func, or_, select, type_coerce, update
from sqlalchemy.orm import Session

from swallowtail.app.core.audit.writer import SYSTEM_SCOPE
from swallowtail.app.core.call_context import CallContext
from swallowtail.app.core.database.database import Database
from swallowtail.app.core.errors import SettingsError
from swallowtail.app.core.ledger.event_log import Change
from swallowtail.app.core.privacy.keyring import KeyMissing, Keyring, Tampered
from swallowtail.app.core.security.permissions import confirm, require_outside
from swallowtail.app.core.security.roles import Act
from swallowtail.app.core.tables.artifacts import Artifact
from swallowtail.app.core.tables.base import Base
from swallowtail.app.core.tables.column_encryption import (
    ANY_MARKER,
    DERIVED,
    ENCRYPTED_COLUMNS,
    decrypt_bytes,
    decrypt_value,
    encrypt_bytes,
    encrypt_value,
    marker_of,
)
from swallowtail.app.core.tables.unreadable import Damaged

#: Rows that one transaction encrypts, and rows that one query reads.
BATCH, PART = 100, 1000


@dataclass(slots=True)
class KeyUse:
    """How many values of one column each key encrypts; `plain` counts those that are not encrypted."""

    table: str
    column: str
    encrypted: dict[str, int] = field(default_factory=dict)
    plain: int = 0


def rotate(
    db: Database, batch: int = BATCH, check: Callable[[Session], object] = lambda session: None
) -> Iterator[tuple[str, int]]:
    """Encrypt all values with the current key. Yields the table's name and the number of rows after each batch.

    `check` checks the permission in the transaction of each batch.

    Raises:
        SettingsError: there is no key.
        KeyMissing, Tampered: a value cannot be decrypted, nor computed again; the rows before it are done.
    """
    if db.keyring.current is None:
        message = "SWALLOWTAIL_ENCRYPTION_KEYS: there is no key to encrypt with"
        raise SettingsError(message, field="SWALLOWTAIL_ENCRYPTION_KEYS")
    for model in ENCRYPTED_COLUMNS:
        for part in _parts(db, model):
            after: str | None = ""
            while after is not None:
                count, after = _rotate_batch(db, model, and_(part, model.__table__.c.id > after), batch, check)
                if count:
                    yield model.__tablename__, count


def _parts(db: Database, model: type[Base]) -> Iterator[ColumnElement[bool]]:
    """Yield the conditions that divide a table into parts of at most `PART` rows, in the order of their ids."""
    key: ColumnElement[str] = model.__table__.c.id
    after = ""
    while True:
        some = select(key).where(key > after).order_by(key).limit(PART).subquery()
        with db.read() as session:
            last = session.scalar(select(func.max(some.c.id)))
        if last is None:
            return
        yield and_(key > after, key <= last)
        after = last


def rotate_all(context: CallContext) -> Iterator[tuple[str, int]]:
    """Rotate as `rotate` does, for a caller, and record it in the audit log. Also raises Unauthenticated, Forbidden.

    Each batch checks the permission again.
    """
    require_outside(context.caller.actor, Act.MANAGE_DEPLOYMENT)
    key_id = context.db.keyring.current
    if key_id is not None:

        def record(change: Change) -> None:
            change.require_outside(Act.MANAGE_DEPLOYMENT)
            change.audit(SYSTEM_SCOPE, "keys.rotate", "key", key_id)

        context.commit(record)

    def check(session: Session) -> None:
        require_outside(confirm(session, context.caller.actor), Act.MANAGE_DEPLOYMENT)

    yield from rotate(context.db, check=check)


def _rotate_batch(
    db: Database, model: type[Base], part: ColumnElement[bool], batch: int, check: Callable[[Session], object]
) -> tuple[int, str | None]:
    """Encrypt a batch. Returns how many rows it has, and the id of the last; None at the end of the part."""
    table = cast_type("Table", model.__table__)
    beside = ("content", "key_id") if model is Artifact else ()
    stale = _stale_json(model, db.keyring)
    stale = stale | _stale_content(db.keyring) if model is Artifact else stale
    with db.read() as session:
        # Before anything is locked: the current key encrypts most rows already.
        if session.scalar(select(table.c.id).where(part, stale).limit(1)) is None:
            return 0, None

    def work(session: Session) -> tuple[int, str | None]:
        check(session)
        columns = [table.c.id, *(table.c[name] for name in (*ENCRYPTED_COLUMNS[model], *beside))]
        query = select(*columns).where(part, stale).order_by(table.c.id).limit(batch).with_for_update()
        rows = session.execute(query).all()
        for row in rows:
            values = _encrypt_row(db.keyring, model, row)
            values |= _encrypt_artifact(db.keyring, row) if model is Artifact else {}
            if values:  # damaged values stay unchanged
                session.execute(update(table).where(table.c.id == row.id).values(**values))
        return len(rows), rows[-1].id if len(rows) == batch else None

    progress: tuple[int, str | None] = db.run(work)
    return progress


def _encrypt_row(keyring: Keyring, model: type[Base], row: Any) -> dict[str, Any]:
    encrypted = {}
    for name in ENCRYPTED_COLUMNS[model]:
        stored = getattr(row, name)
        if stored is None or isinstance(stored, Damaged):
            # Encrypted, the mark of a damaged value would become a value.
            continue
        try:
            value = decrypt_value(keyring, model, row.id, name, stored)
        except (KeyMissing, Tampered):
            if name not in DERIVED:
                raise
            # The next view computes it again.
            value = None
        encrypted[name] = encrypt_value(keyring, model, row.id, name, value)
    return encrypted


def _encrypt_artifact(keyring: Keyring, row: Any) -> dict[str, Any]:
    content, key_id = encrypt_bytes(keyring, row.id, decrypt_bytes(keyring, row.id, row.content, row.key_id))
    return {"content": content, "key_id": key_id}


def _stale_content(keyring: Keyring) -> ColumnElement[bool]:
    return or_(Artifact.key_id.is_(None), Artifact.key_id != keyring.current)


def _stale_json(model: type[Base], keyring: Keyring) -> ColumnElement[bool]:
    assert keyring.current is not None
    marker = marker_of(keyring.current)
    return or_(*(and_(_has_value(model, name), ~_begins(model, name, marker)) for name in ENCRYPTED_COLUMNS[model]))


def _text(model: type[Base], name: str) -> ColumnElement[str]:
    return cast(type_coerce(model.__table__.c[name], JSON(none_as_null=True)), Text)


def _begins(model: type[Base], name: str, beginning: str) -> ColumnElement[bool]:
    return func.substr(_text(model, name), 1, len(beginning)) == beginning


def _has_value(model: type[Base], name: str) -> ColumnElement[bool]:
    # JSON's null is no value either, and is never encrypted.
    return and_(model.__table__.c[name].is_not(None), _text(model, name) != "null")


def count_use(db: Database) -> list[KeyUse]:
    """Return how many values of each column each key encrypts; an unreadable key id counts as `?`."""
    all_uses = []
    for model, names in ENCRYPTED_COLUMNS.items():
        uses = [KeyUse(model.__tablename__, name, dict.fromkeys(db.keyring.ids, 0)) for name in names]
        for part in _parts(db, model):
            with db.read() as session:
                for use in uses:
                    _count_json(session, db.keyring, model, use, part)
        all_uses += uses
    artifacts = KeyUse(Artifact.__tablename__, "content")
    for part in _parts(db, Artifact):
        with db.read() as session:
            _count_artifacts(session, artifacts, part)
    return [*all_uses, artifacts]


def _count_json(session: Session, keyring: Keyring, model: type[Base], use: KeyUse, part: ColumnElement[bool]) -> None:
    name, known = use.column, [_begins(model, use.column, marker_of(key_id)) for key_id in keyring.ids]
    counted = (_has_value(model, name), _begins(model, name, ANY_MARKER), *known)
    query = select(*(func.coalesce(func.sum(case((one, 1), else_=0)), 0) for one in counted)).where(part)
    values, encrypted, *by_key = map(int, session.execute(query.select_from(model)).one())
    use.plain += values - encrypted
    for key_id, number in zip(keyring.ids, by_key, strict=True):
        use.encrypted[key_id] += number
    if unknown := encrypted - sum(by_key):
        sample = select(_text(model, name)).where(part, counted[1], *(~one for one in known))
        label = f"{_key_of(session.scalar(sample.limit(1)) or '{}')} (missing)"
        use.encrypted[label] = use.encrypted.get(label, 0) + unknown


def _key_of(stored: str) -> str:
    return str(orjson.loads(stored).get("$sealed", "?")).partition(":")[0]


def _count_artifacts(session: Session, use: KeyUse, part: ColumnElement[bool]) -> None:
    for key_id, number in Counter(session.scalars(select(Artifact.key_id).where(part))).items():
        if key_id is None:
            use.plain += number
        else:
            use.encrypted[key_id] = use.encrypted.get(key_id, 0) + number
