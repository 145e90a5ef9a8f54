"""Appends entries to the audit log, in the transaction of the change that they describe.

Each entry has the hash of the entry before it: if an entry is changed, removed or inserted, every later hash is wrong.
Each instance has a chain, and one chain has the changes outside of instances. The row with the end of a chain is locked
until the commit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from swallowtail.app.core.events import plain, to_json
from swallowtail.app.core.security.actors import Caller
from swallowtail.app.core.tables.audit import AuditChain, AuditEntry

#: The chain of changes that belong to no instance.
SYSTEM_SCOPE = ""
#: The action of the entry in the system's chain about the deletion of a chain's oldest entries.
PRUNE = "audit.prune"
#: The previous hash of the first entry of a chain.
BEGINNING = "0" * 64


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """One action. `scope` is the instance in which it was done, or SYSTEM_SCOPE."""

    scope: str
    action: str
    object_type: str
    object_id: str
    detail: Mapping[str, Any] = field(default_factory=dict)


def append(session: Session, caller: Caller, records: Sequence[AuditRecord], at: datetime) -> None:
    """Append records to their chains, whose ends stay locked until the commit."""
    for scope in sorted({record.scope for record in records}):
        number, previous = lock_end(session, scope)
        rows = []
        for record in (record for record in records if record.scope == scope):
            number += 1
            rows.append(row := _row(caller, record, at, number, previous))
            previous = row["hash"]
        session.execute(insert(AuditEntry), rows)
        session.execute(
            update(AuditChain)
            .where(AuditChain.scope == scope)
            .values(number=number, hash=previous)
            .execution_options(synchronize_session=False)
        )


def hash_entry(entry: Mapping[str, Any]) -> str:
    """Return the hash of an entry: SHA-256, in hex, of its fields but `hash` as a JSON array."""
    fields = [
        entry["scope"],
        entry["number"],
        entry["at"].astimezone(UTC).isoformat(timespec="microseconds"),
        entry["actor_kind"],
        entry["actor_id"],
        entry["actor_name"],
        entry["action"],
        entry["object_type"],
        entry["object_id"],
        entry["entrance"],
        entry["address"],
        _sorted(entry["detail"]),
        entry["previous_hash"],
    ]
    return hashlib.sha256(to_json(fields)).hexdigest()


def lock_end(session: Session, scope: str) -> tuple[int, str]:
    """Return the number and hash of a chain's last entry; the chain is locked until the commit."""
    query = select(AuditChain.number, AuditChain.hash).where(AuditChain.scope == scope).with_for_update()
    end = session.execute(query).one_or_none()
    if end is None:
        try:
            with session.begin_nested():
                session.execute(insert(AuditChain).values(scope=scope, number=0, hash=BEGINNING))
        except IntegrityError:
            # Another transaction began the chain at the same time; the query waits for its commit.
            pass
        end = session.execute(query).one()
    return end.number, end.hash


def _row(caller: Caller, record: AuditRecord, at: datetime, number: int, previous: str) -> dict[str, Any]:
    row = {
        "scope": record.scope,
        "number": number,
        "at": at,
        "actor_kind": caller.actor.kind,
        "actor_id": caller.actor.id,
        "actor_name": caller.actor.name,
        "action": record.action,
        "object_type": record.object_type,
        "object_id": record.object_id,
        "entrance": caller.entrance,
        "address": caller.address,
        "detail": plain(dict(record.detail)),
        "previous_hash": previous,
    }
    return {**row, "hash": hash_entry(row)}


def _sorted(value: Any) -> Any:
    # A database may return the keys of an object in another order.
    if isinstance(value, Mapping):
        return [[key, _sorted(value[key])] for key in sorted(value)]
    if isinstance(value, list):
        return [_sorted(item) for item in value]
    return value
