"""Lists the entries of the audit log and verifies its hash chains.

A chain proves that no entry was changed, removed, inserted or moved: each has the hash of the entry before. Only an
anchor, the result of an earlier `verify` that was stored elsewhere, shows whether the latest entries were removed.
After a pruning, the chain begins after the last pruned entry, as its row and the system chain both record.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, literal, select, tuple_
from sqlalchemy.orm import Session

from swallowtail.app.core.audit.writer import BEGINNING, PRUNE, SYSTEM_SCOPE, hash_entry
from swallowtail.app.core.errors import InvalidInput
from swallowtail.app.core.events import clean
from swallowtail.app.core.schemas.fields import view_row
from swallowtail.app.core.schemas.identities import AuditEntryView, AuditFilter
from swallowtail.app.core.tables.audit import AuditChain, AuditEntry
from swallowtail.app.core.tables.base import Moment

#: Entries per query of a verification; entries about one object that a list with several filters examines.
PAGE, MOST_EXAMINED = 500, 1000
#: Most faults in one report.
MOST_FAULTS = 20
#: Columns with the id or the name of an actor.
_ACTOR = (AuditEntry.actor_id, AuditEntry.actor_name)
_COLUMNS = [column.name for column in AuditEntry.__table__.columns]
#: By time first: each filter has an index in this order, for every range of times.
_LATEST = (AuditEntry.at.desc(), AuditEntry.number.desc())


@dataclass(frozen=True, slots=True)
class ChainAnchor:
    """The number and hash of an entry, stored elsewhere by the operator when the chain was intact."""

    number: int
    hash: str

    @classmethod
    def parse(cls, text: str) -> ChainAnchor:
        """Read `NUMBER:HASH`. Raises InvalidInput."""
        number, _, digest = text.partition(":")
        if not (number.isascii() and number.isdigit() and len(number) < 19 and len(digest) == 64):
            raise InvalidInput("an anchor has the form NUMBER:HASH, as verify prints it", field="anchor")
        return cls(int(number), digest.lower())


@dataclass(slots=True)
class ChainReport:
    """The result of a verification: the number of verified entries, the last of them, and the faults."""

    scope: str
    count: int = 0
    number: int = 0
    hash: str = BEGINNING
    faults: list[str] = field(default_factory=list)
    #: The last pruned entry, and what cannot be verified because of the pruning.
    pruned: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def is_whole(self) -> bool:
        """Whether there is no fault."""
        return not self.faults


def list_entries(
    session: Session, scope: str, which: AuditFilter, *, limit: int, cursor: str | None = None
) -> tuple[list[AuditEntryView], str | None]:
    """Return entries of a chain, the latest first, and the cursor of the next page. Raises InvalidInput.

    With a filter by object and by action or actor, a page may have few entries although there is a next page.
    """
    conditions = [AuditEntry.scope == scope, *_conditions(which)]
    if cursor is not None:
        number = _read_cursor(cursor)
        at = session.scalar(select(AuditEntry.at).where(AuditEntry.scope == scope, AuditEntry.number == number))
        if at is None:
            # The entry was pruned, and with it all earlier entries.
            return [], None
        conditions.append(tuple_(AuditEntry.at, AuditEntry.number) < tuple_(literal(at, Moment()), number))
    if which.object_id is not None and (which.action, which.actor) != (None, None):
        return _list_examined(session, scope, which, conditions, limit)
    query = select(AuditEntry).where(*conditions).order_by(*_LATEST).limit(limit + 1)
    if which.actor is None:
        rows = list(session.scalars(query))
    else:
        # Two queries, each with an index: for one query with "or", the database would read the whole log.
        actor = clean(which.actor)
        by_number = {row.number: row for column in _ACTOR for row in session.scalars(query.where(column == actor))}
        rows = sorted(by_number.values(), key=lambda row: (row.at, row.number), reverse=True)[: limit + 1]
    next_cursor = str(rows[limit - 1].number) if len(rows) > limit else None
    return [view_row(AuditEntryView, row) for row in rows[:limit]], next_cursor


def _list_examined(
    session: Session, scope: str, which: AuditFilter, conditions: list[ColumnElement[bool]], limit: int
) -> tuple[list[AuditEntryView], str | None]:
    """Choose among the latest `MOST_EXAMINED` entries about an object: no index covers all the criteria together."""
    columns = (AuditEntry.number, AuditEntry.action, AuditEntry.actor_id, AuditEntry.actor_name)
    examined = session.execute(select(*columns).where(*conditions).order_by(*_LATEST).limit(MOST_EXAMINED)).all()
    action, actor = (None if one is None else clean(one) for one in (which.action, which.actor))
    numbers = [
        row.number
        for row in examined
        if action in (None, row.action) and (actor is None or actor in (row.actor_id, row.actor_name))
    ]
    shown = numbers[:limit]
    query = select(AuditEntry).where(AuditEntry.scope == scope, AuditEntry.number.in_(shown))
    rows = {row.number: row for row in session.scalars(query)}
    last = shown[-1] if len(numbers) > limit else examined[-1].number if len(examined) == MOST_EXAMINED else None
    return [view_row(AuditEntryView, rows[number]) for number in shown], None if last is None else str(last)


def _conditions(which: AuditFilter) -> Iterator[ColumnElement[bool]]:
    if which.object_id is not None:
        yield AuditEntry.object_id == clean(which.object_id)
    elif which.action is not None:
        yield AuditEntry.action == clean(which.action)
    if which.since is not None:
        yield AuditEntry.at >= which.since
    if which.until is not None:
        yield AuditEntry.at < which.until


def list_scopes(session: Session) -> list[str]:
    """Return the scopes of all chains: those with an end, and those that only have entries."""
    scopes = set(session.scalars(select(AuditChain.scope)))
    # One query per scope: a single query for all distinct scopes would read every entry.
    query = select(AuditEntry.scope).order_by(AuditEntry.scope).limit(1)
    scope = session.scalar(query)
    while scope is not None:
        scopes.add(scope)
        scope = session.scalar(query.where(AuditEntry.scope > scope))
    return sorted(scopes)


def verify(session: Session, scope: str, *, after: int = 0, anchor: ChainAnchor | None = None) -> ChainReport:
    """Verify the entries of a chain with numbers above `after`, and its end."""
    report = ChainReport(scope)
    ends = select(AuditChain.number, AuditChain.hash, AuditChain.pruned_number, AuditChain.pruned_hash)
    end = session.execute(ends.where(AuditChain.scope == scope)).one_or_none()
    last = end.number if end is not None else 0
    start, start_hash = (0, BEGINNING) if end is None else (end.pruned_number, end.pruned_hash)
    _check_start(session, report, start, start_hash, anchor)
    if after <= report.pruned:
        after = report.pruned
    else:
        before = session.scalar(select(AuditEntry.hash).where(AuditEntry.scope == scope, AuditEntry.number == after))
        report.number, report.hash = after, before or ""
        if before is None:
            report.faults.append(f"entry {after} is missing")
    for entry in _read(session, scope, after, last if end is not None else None):
        _check(report, entry)
        if anchor is not None and entry["number"] == anchor.number and entry["hash"] != anchor.hash:
            report.faults.append(f"entry {anchor.number} is not the one of the anchor")
        if len(report.faults) >= MOST_FAULTS:
            return report
    _check_end(report, end, anchor)
    return report


def _read(session: Session, scope: str, after: int, last: int | None) -> Iterator[dict[str, Any]]:
    columns = [getattr(AuditEntry, name) for name in _COLUMNS]
    while True:
        query = select(*columns).where(AuditEntry.scope == scope, AuditEntry.number > after)
        rows = session.execute(query.order_by(AuditEntry.number).limit(PAGE)).mappings().all()
        for row in rows:
            if last is not None and row["number"] > last and _read_end(session, scope) >= row["number"]:
                # The entry was written after the end was read.
                return
            yield dict(row)
        if len(rows) < PAGE:
            return
        after = rows[-1]["number"]


def _read_end(session: Session, scope: str) -> int:
    return session.scalar(select(AuditChain.number).where(AuditChain.scope == scope)) or 0


def _check_start(
    session: Session, report: ChainReport, number: int, last_hash: str, anchor: ChainAnchor | None
) -> None:
    """Begin where the chain's row says; check that entries, prunings and anchor agree."""
    scope = report.scope
    report.pruned, report.number, report.hash = number, number, last_hash
    early = select(AuditEntry.number).where(AuditEntry.scope == scope, AuditEntry.number <= number)
    left = session.scalar(early.limit(1))
    if left is not None:
        report.faults.append(f"entry {left} is there, and the chain should begin after entry {number}")
    pruning = _read_pruning(session, scope)
    if pruning is not None and (pruning.get("number"), pruning.get("hash")) != (number, last_hash):
        right = f"the chain should begin after entry {pruning.get('number')}, as {PRUNE} says"
        report.faults.append(f"{right}, and begins after entry {number}")
    elif pruning is None and number and not _forgets_prunings(session, scope):
        report.faults.append(f"the chain begins after entry {number}, and no {PRUNE} says so")
    if number:
        report.notes.append(f"the entries up to {number} were pruned")
    if anchor is not None and anchor.number < number:
        report.notes.append(f"entry {anchor.number}, the anchor, was pruned, so that it proves nothing")
    elif anchor is not None and 0 < anchor.number == number and anchor.hash != last_hash:
        report.faults.append(f"entry {number} is not the one of the anchor")


def _read_pruning(session: Session, scope: str) -> dict[str, Any] | None:
    """Return the detail of the entry in the system's chain about the latest pruning of a chain."""
    about = (AuditEntry.scope == SYSTEM_SCOPE, AuditEntry.action == PRUNE, AuditEntry.object_id == scope)
    latest = session.execute(select(AuditEntry.detail).where(*about).order_by(AuditEntry.number.desc()).limit(1))
    row = latest.one_or_none()
    if row is None:
        return None
    return row.detail if isinstance(row.detail, dict) else {}


def _forgets_prunings(session: Session, scope: str) -> bool:
    """Return whether the entry about the latest pruning may itself be pruned; the system chain keeps its own."""
    pruned = session.scalar(select(AuditChain.pruned_number).where(AuditChain.scope == SYSTEM_SCOPE))
    return scope != SYSTEM_SCOPE and bool(pruned)


def _check(report: ChainReport, entry: dict[str, Any]) -> None:
    number = entry["number"]
    if number != report.number + 1:
        missing = f"entry {report.number + 1} is missing" if number == report.number + 2 else None
        report.faults.append(missing or f"entries {report.number + 1} to {number - 1} are missing")
    elif entry["previous_hash"] != report.hash:
        report.faults.append(f"entry {number} does not follow entry {number - 1}")
    if _hash(entry) != entry["hash"]:
        report.faults.append(f"entry {number} was changed")
    report.count += 1
    report.number, report.hash = number, entry["hash"]


def _hash(entry: dict[str, Any]) -> str:
    try:
        return hash_entry(entry)
    except (TypeError, ValueError, json.JSONDecodeError):
        # The fields of a forged entry may have any type.
        return ""


def _check_end(report: ChainReport, end: Any, anchor: ChainAnchor | None) -> None:
    if end is None and report.count:
        report.faults.append("the end of the chain is not noted")
    elif end is not None and (end.number, end.hash) != (report.number, report.hash):
        report.faults.append(f"the chain should end with entry {end.number}, and ends with entry {report.number}")
    if anchor is not None and anchor.number > report.number:
        report.faults.append(f"the chain ends before the anchor, which is entry {anchor.number}")


def _read_cursor(cursor: str) -> int:
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
        raise InvalidInput("this is not a valid cursor", field="cursor")
    return int(cursor)
