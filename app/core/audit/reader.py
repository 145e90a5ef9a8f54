"""Lists the entries of the audit log and verifies its hash chains.

A chain proves that no entry was changed, removed, inserted or moved: each holds the hash of the one before. A cut end is
found only with an anchor, which is the result of an earlier `verify` that was stored elsewhere. Where the oldest entries
were pruned, the chain begins after the last of them, as its row and the system's chain both record.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, literal, select, tuple_
from sqlalchemy.orm import Session

from swallowtail.app.core.audit.writer import BEGINNING, PRUNE, SYSTEM_SCOPE, seal
from swallowtail.app.core.errors import InvalidInput
from swallowtail.app.core.events import clean, stamp
from swallowtail.app.core.schemas.identities import AuditEntryView
from swallowtail.app.core.tables.audit import AuditChain, AuditEntry
from swallowtail.app.core.tables.base import Moment

#: Entries read at once, and those about one object that are looked through for one page.
PAGE, LOOK = 500, 1000
#: Most faults that are listed.
MOST_FAULTS = 20
#: Columns with the id or the name of an actor.
_ACTOR = (AuditEntry.actor_id, AuditEntry.actor_name)
_COLUMNS = [column.name for column in AuditEntry.__table__.columns]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which entries of a chain; None does not ask. `actor` is an id or a name."""

    action: str | None = None
    actor: str | None = None
    object_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Anchor:
    """An entry's number and hash, written down when the chain was known to be whole."""

    number: int
    hash: str

    @classmethod
    def parse(cls, text: str) -> Anchor:
        """Read `NUMBER:HASH`. Raises InvalidInput."""
        number, _, digest = text.partition(":")
        if not (number.isascii() and number.isdigit() and len(number) < 19 and len(digest) == 64):
            raise InvalidInput("give an anchor as NUMBER:HASH, as verify prints it", field="anchor")
        return cls(int(number), digest.lower())


@dataclass(slots=True)
class Verdict:
    """What was found: the entries looked at, where they end, and what is wrong with them."""

    scope: str
    count: int = 0
    number: int = 0
    hash: str = BEGINNING
    faults: list[str] = field(default_factory=list)
    #: The last entry that was pruned, and what of the question can for that reason not be answered.
    pruned: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def is_whole(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults


def list_entries(
    session: Session, scope: str, wanted: Wanted, *, limit: int, cursor: str | None = None
) -> tuple[list[AuditEntryView], str | None]:
    """Return entries of a chain, the latest first, and the cursor of the next page. Raises InvalidInput.

    With a filter by object and by action or actor, a page may have few entries and still a next page.
    """
    wants = [AuditEntry.scope == scope, *_conditions(wanted)]
    if cursor is not None:
        number = _read_cursor(cursor)
        at = session.scalar(select(AuditEntry.at).where(AuditEntry.scope == scope, AuditEntry.number == number))
        if at is None:
            # It was pruned, and with it all that came before.
            return [], None
        wants.append(tuple_(AuditEntry.at, AuditEntry.number) < tuple_(literal(at, Moment()), number))
    # By time first: each filter has an index that is in this order, for every range of times.
    latest = (AuditEntry.at.desc(), AuditEntry.number.desc())
    query = select(AuditEntry).where(*wants).order_by(*latest).limit(limit + 1)
    if wanted.object_id is not None and (wanted.action, wanted.actor) != (None, None):
        return _look_through(session, scope, wanted, wants, limit)
    if wanted.actor is None:
        rows = list(session.scalars(query))
    else:
        # Not one question with "or", for which the whole log would be read: each half has an index.
        who = clean(wanted.actor)
        found = {row.number: row for column in _ACTOR for row in session.scalars(query.where(column == who))}
        rows = sorted(found.values(), key=lambda row: (row.at, row.number), reverse=True)[: limit + 1]
    more = str(rows[limit - 1].number) if len(rows) > limit else None
    return [view_entry(row) for row in rows[:limit]], more


def _look_through(
    session: Session, scope: str, wanted: Wanted, wants: list[ColumnElement[bool]], limit: int
) -> tuple[list[AuditEntryView], str | None]:
    """Choose among the latest `LOOK` entries about an object: no index has all of what is asked for together."""
    columns = (AuditEntry.number, AuditEntry.action, AuditEntry.actor_id, AuditEntry.actor_name)
    latest = (AuditEntry.at.desc(), AuditEntry.number.desc())
    seen = session.execute(select(*columns).where(*wants).order_by(*latest).limit(LOOK)).all()
    action, actor = (None if one is None else clean(one) for one in (wanted.action, wanted.actor))
    numbers = [
        row.number
        for row in seen
        if action in (None, row.action) and (actor is None or actor in (row.actor_id, row.actor_name))
    ]
    shown = numbers[:limit]
    found = select(AuditEntry).where(AuditEntry.scope == scope, AuditEntry.number.in_(shown))
    rows = {row.number: row for row in session.scalars(found)}
    last = shown[-1] if len(numbers) > limit else seen[-1].number if len(seen) == LOOK else None
    return [view_entry(rows[number]) for number in shown], None if last is None else str(last)


def _conditions(wanted: Wanted) -> Iterator[ColumnElement[bool]]:
    if wanted.object_id is not None:
        yield AuditEntry.object_id == clean(wanted.object_id)
    elif wanted.action is not None:
        yield AuditEntry.action == clean(wanted.action)
    if wanted.since is not None:
        yield AuditEntry.at >= wanted.since
    if wanted.until is not None:
        yield AuditEntry.at < wanted.until


def list_scopes(session: Session) -> list[str]:
    """Return the names of all chains: those with an end, and those that only have entries."""
    found = set(session.scalars(select(AuditChain.scope)))
    # From one to the next: to ask for all that there are would read every entry.
    query = select(AuditEntry.scope).order_by(AuditEntry.scope).limit(1)
    scope = session.scalar(query)
    while scope is not None:
        found.add(scope)
        scope = session.scalar(query.where(AuditEntry.scope > scope))
    return sorted(found)


def view_entry(row: AuditEntry) -> AuditEntryView:
    """Return the view of one row."""
    values = {name: getattr(row, name) for name in AuditEntryView.__annotations__}
    return AuditEntryView(**{**values, "at": stamp(row.at)})  # type: ignore[typeddict-item]


def verify(session: Session, scope: str, *, after: int = 0, anchor: Anchor | None = None) -> Verdict:
    """Look at every entry of a chain with a number above `after`, and at its end."""
    found = Verdict(scope)
    ends = select(AuditChain.number, AuditChain.hash, AuditChain.pruned_number, AuditChain.pruned_hash)
    end = session.execute(ends.where(AuditChain.scope == scope)).one_or_none()
    last = end.number if end is not None else 0
    start, start_hash = (0, BEGINNING) if end is None else (end.pruned_number, end.pruned_hash)
    _check_start(session, found, start, start_hash, anchor)
    if after <= found.pruned:
        after = found.pruned
    else:
        before = session.scalar(select(AuditEntry.hash).where(AuditEntry.scope == scope, AuditEntry.number == after))
        found.number, found.hash = after, before or ""
        if before is None:
            found.faults.append(f"entry {after} is missing")
    for entry in _read(session, scope, after, last if end is not None else None):
        _check(found, entry)
        if anchor is not None and entry["number"] == anchor.number and entry["hash"] != anchor.hash:
            found.faults.append(f"entry {anchor.number} is not the one of the anchor")
        if len(found.faults) >= MOST_FAULTS:
            return found
    _check_end(found, end, anchor)
    return found


def _read(session: Session, scope: str, after: int, last: int | None) -> Iterator[dict[str, Any]]:
    columns = [getattr(AuditEntry, name) for name in _COLUMNS]
    while True:
        query = select(*columns).where(AuditEntry.scope == scope, AuditEntry.number > after)
        rows = session.execute(query.order_by(AuditEntry.number).limit(PAGE)).mappings().all()
        for row in rows:
            if last is not None and row["number"] > last and _grows(session, scope, row["number"]):
                # Written since the end was read.
                return
            yield dict(row)
        if len(rows) < PAGE:
            return
        after = rows[-1]["number"]


def _grows(session: Session, scope: str, number: int) -> bool:
    end = session.scalar(select(AuditChain.number).where(AuditChain.scope == scope)) or 0
    return end >= number


def _check_start(session: Session, found: Verdict, number: int, last_hash: str, anchor: Anchor | None) -> None:
    """Begin where the chain's row says, if what else there is agrees."""
    scope = found.scope
    found.pruned, found.number, found.hash = number, number, last_hash
    left = session.scalar(
        select(AuditEntry.number).where(AuditEntry.scope == scope, AuditEntry.number <= number).limit(1)
    )
    if left is not None:
        found.faults.append(f"entry {left} is there, and the chain should begin after entry {number}")
    pruning = _read_pruning(session, scope)
    if pruning is not None and (pruning.get("number"), pruning.get("hash")) != (number, last_hash):
        found.faults.append(
            f"the chain should begin after entry {pruning.get('number')}, as {PRUNE} says, and begins after entry {number}"
        )
    elif pruning is None and number and not _forgets_prunings(session, scope):
        found.faults.append(f"the chain begins after entry {number}, and no {PRUNE} says so")
    if number:
        found.notes.append(f"the entries up to {number} were pruned")
    if anchor is not None and anchor.number < number:
        found.notes.append(f"entry {anchor.number}, the anchor, was pruned, so that it vouches for nothing")
    elif anchor is not None and 0 < anchor.number == number and anchor.hash != last_hash:
        found.faults.append(f"entry {number} is not the one of the anchor")


def _read_pruning(session: Session, scope: str) -> dict[str, Any] | None:
    """Return the detail of the entry in the system's chain about the latest pruning of a chain."""
    about = (AuditEntry.scope == SYSTEM_SCOPE, AuditEntry.action == PRUNE, AuditEntry.object_id == scope)
    latest = session.execute(select(AuditEntry.detail).where(*about).order_by(AuditEntry.number.desc()).limit(1))
    row = latest.one_or_none()
    if row is None:
        return None
    return row.detail if isinstance(row.detail, dict) else {}


def _forgets_prunings(session: Session, scope: str) -> bool:
    """Tell whether the entry about the latest pruning of a chain may have been pruned; its own never is."""
    pruned = session.scalar(select(AuditChain.pruned_number).where(AuditChain.scope == SYSTEM_SCOPE))
    return scope != SYSTEM_SCOPE and bool(pruned)


def _check(found: Verdict, entry: dict[str, Any]) -> None:
    number = entry["number"]
    if number != found.number + 1:
        missing = f"entry {found.number + 1} is missing" if number == found.number + 2 else None
        found.faults.append(missing or f"entries {found.number + 1} to {number - 1} are missing")
    elif entry["previous_hash"] != found.hash:
        found.faults.append(f"entry {number} does not follow entry {number - 1}")
    if _seal(entry) != entry["hash"]:
        found.faults.append(f"entry {number} was changed")
    found.count += 1
    found.number, found.hash = number, entry["hash"]


def _seal(entry: dict[str, Any]) -> str:
    try:
        return seal(entry)
    except (TypeError, ValueError, json.JSONDecodeError):
        # Somebody wrote what we never would.
        return ""


def _check_end(found: Verdict, end: Any, anchor: Anchor | None) -> None:
    if end is None and found.count:
        found.faults.append("the end of the chain is not noted")
    elif end is not None and (end.number, end.hash) != (found.number, found.hash):
        found.faults.append(f"the chain should end with entry {end.number}, and ends with entry {found.number}")
    if anchor is not None and anchor.number > found.number:
        found.faults.append(f"the chain ends before the anchor, which is entry {anchor.number}")


def _read_cursor(cursor: str) -> int:
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
        raise InvalidInput("this is not a valid cursor", field="cursor")
    return int(cursor)
