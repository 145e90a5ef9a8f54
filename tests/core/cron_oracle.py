"""Computes the slots of cron expressions slowly, by a check of every minute."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

from swallowtail.app.core.services.cron import Timing, slots_between

MINUTE = timedelta(minutes=1)


def local(moment: datetime, zone: str) -> datetime:
    """Return a moment in the local time of a zone."""
    return moment.astimezone(ZoneInfo(zone))


def oracle(expression: str, zone: str, after: datetime, until: datetime) -> list[datetime]:
    """Return the slots in (after, until] of an expression that restricts only minutes and hours."""
    minutes, hours = (_parse(field, top) for field, top in zip(expression.split(), (60, 24), strict=False))

    def matches(wall: datetime) -> bool:
        return wall.minute in minutes and wall.hour in hours

    if hours == set(range(24)):
        slots = {moment for moment in _each_minute(after, until) if matches(local(moment, zone))}
    else:
        slots = _once_each(matches, zone, after, until)
    return sorted(moment for moment in slots if after < moment <= until)


def _once_each(matches: object, zone: str, after: datetime, until: datetime) -> set[datetime]:
    """Return the first moment of each matching local minute, or the first moment after the gap that it is in."""
    assert callable(matches)
    margin = timedelta(days=2)
    first_shown: dict[datetime, datetime] = {}
    for moment in _each_minute(after - margin, until + margin):
        first_shown.setdefault(local(moment, zone).replace(tzinfo=None), moment)
    shown = sorted(first_shown)
    slots = set()
    wall = shown[0]
    while wall <= shown[-1]:
        if matches(wall):
            slots.add(first_shown[min(w for w in _hours_after(wall) if w in first_shown)])
        wall += MINUTE
    return slots


def _hours_after(wall: datetime) -> list[datetime]:
    return [wall + n * MINUTE for n in range(180)]


def _each_minute(start: datetime, end: datetime) -> list[datetime]:
    first = start.astimezone(UTC).replace(second=0, microsecond=0)
    return [first + n * MINUTE for n in range((end - first) // MINUTE + 2)]


def _parse(field: str, top: int) -> set[int]:
    values: set[int] = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        low, _, high = ("0", "", str(top - 1)) if span == "*" else span.partition("-")
        values |= set(range(int(low), int(high or low) + 1, int(step or 1)))
    return values


def next_slots(timing: Timing, after: datetime, count: int) -> list[datetime]:
    """Return the next `count` slots, or fewer if there are fewer."""
    return list(islice(slots_between(timing, after, datetime.max.replace(tzinfo=UTC)), count))
