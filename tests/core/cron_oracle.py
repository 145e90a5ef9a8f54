"""Where slots must be, found in the dullest way: by looking at every minute of a clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

from swallowtail.app.core.services.cron import Timing, slots_between

MINUTE = timedelta(minutes=1)


def local(moment: datetime, zone: str) -> datetime:
    """The moment as the wall clock of a zone shows it."""
    return moment.astimezone(ZoneInfo(zone))


def oracle(expression: str, zone: str, after: datetime, until: datetime) -> list[datetime]:
    """The slots in (after, until] of an expression that restricts minutes and hours only; zones of whole minutes."""
    minutes, hours = (_parse(field, top) for field, top in zip(expression.split(), (60, 24), strict=False))

    def matches(wall: datetime) -> bool:
        return wall.minute in minutes and wall.hour in hours

    if hours == set(range(24)):
        found = {moment for moment in _each_minute(after, until) if matches(local(moment, zone))}
    else:
        found = _once_each(matches, zone, after, until)
    return sorted(moment for moment in found if after < moment <= until)


def _once_each(matches: object, zone: str, after: datetime, until: datetime) -> set[datetime]:
    """The first moment of each matching wall minute, or the first moment after the gap that it lies in."""
    assert callable(matches)
    margin = timedelta(days=2)
    first_shown: dict[datetime, datetime] = {}
    for moment in _each_minute(after - margin, until + margin):
        first_shown.setdefault(local(moment, zone).replace(tzinfo=None), moment)
    shown = sorted(first_shown)
    found = set()
    wall = shown[0]
    while wall <= shown[-1]:
        if matches(wall):
            found.add(first_shown[min(w for w in _hours_after(wall) if w in first_shown)])
        wall += MINUTE
    return found


def _hours_after(wall: datetime) -> list[datetime]:
    return [wall + n * MINUTE for n in range(180)]


def _each_minute(start: datetime, end: datetime) -> list[datetime]:
    first = start.astimezone(UTC).replace(second=0, microsecond=0)
    return [first + n * MINUTE for n in range((end - first) // MINUTE + 2)]


def _parse(field: str, top: int) -> set[int]:
    found: set[int] = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        low, _, high = ("0", "", str(top - 1)) if span == "*" else span.partition("-")
        found |= set(range(int(low), int(high or low) + 1, int(step or 1)))
    return found


def next_slots(timing: Timing, after: datetime, count: int) -> list[datetime]:
    """Return the next `count` slots, or fewer if there are fewer."""
    return list(islice(slots_between(timing, after, datetime.max.replace(tzinfo=UTC)), count))
