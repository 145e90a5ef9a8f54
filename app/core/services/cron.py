"""Computes the slots of a schedule from its cron expression, interval or single moment.

Pure arithmetic on moments, without clock or database. docs/schedules.md says the same for users.

A cron expression names times on a wall clock, and a wall clock has gaps and folds when it is changed. What holds then:

* an expression that allows every hour (`*/10 * * * *`) follows the time that passes: it fires whenever the wall clock
  shows a matching time, so it goes on through a fold and does not stop for a gap;
* any other (`30 2 * * *`) fires once for each matching time: one that a gap swallows fires at the first moment after
  the gap (several of them: once), one that a fold repeats fires at its first occurrence.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import islice
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from swallowtail.app.core.errors import InvalidInput

_MICROSECOND = timedelta(microseconds=1)
_SECOND = timedelta(seconds=1)
#: No zone changes its clock twice within this span.
_PROBE = timedelta(days=1)
_FIELDS = 5
_HOURS = frozenset(range(24))
#: The largest step of each field.
_LARGEST = {"minute": 59, "hour": 23, "day": 31, "month": 12, "weekday": 7}
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_RANGE = re.compile(
    rf"(?<![\w-])({'|'.join(_DAYS)}|[0-7])-({'|'.join(_DAYS)}|[0-7])(?:/([0-9]{{1,2}}))?(?![\w#-])", re.IGNORECASE
)
#: A range of one, with a step; the library takes it for all from there on.
_ALONE = re.compile(r"(?<![\w-])(\w+)-\1/[1-9][0-9]?(?![\w-])", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Cron:
    """Times on the wall clock of `zone` (an IANA name), in five fields: minute, hour, day, month, weekday."""

    expression: str
    zone: str = "UTC"


@dataclass(frozen=True, slots=True)
class Interval:
    """`anchor + n * every` for n = 1, 2, …: reckoned from the anchor each time, so that nothing adds up."""

    every: timedelta
    anchor: datetime


@dataclass(frozen=True, slots=True)
class Once:
    """One moment."""

    at: datetime


Timing = Cron | Interval | Once


def check_cron(expression: str) -> str:
    """Return `expression` with single spaces if it is a cron expression that can be due.

    Raises:
        InvalidInput: the field is `cron`.
    """
    fields = expression.split()
    if len(fields) != _FIELDS:
        raise InvalidInput("cron must have five fields: minute, hour, day, month, weekday", field="cron")
    try:
        _check_steps(fields)
        first = _next_wall(" ".join(fields), datetime(2000, 1, 1))  # noqa: DTZ001 - a wall clock without a zone
    except CronSimError as fault:
        raise InvalidInput(f"cron is not valid: {str(fault).lower()}", field="cron") from None
    if first is None:
        raise InvalidInput("cron matches no date", field="cron")
    return " ".join(fields)


def check_zone(name: str) -> str:
    """Return `name` if it is the IANA name of a time zone.

    Raises:
        InvalidInput: the field is `timezone`.
    """
    try:
        # `localtime` is a file of the machine, not a zone that another machine would know.
        if name and name != "localtime":
            ZoneInfo(name)
            return name
    except (KeyError, ValueError, OSError):
        pass
    raise InvalidInput(f"there is no time zone {name!r}; use an IANA name such as Europe/Berlin", field="timezone")


def next_slot(timing: Timing, after: datetime) -> datetime | None:
    """Return the first slot later than `after`, in UTC, or None when there is none to come."""
    if isinstance(timing, Once):
        return timing.at.astimezone(UTC) if timing.at > after else None
    if isinstance(timing, Interval):
        passed = max((after - timing.anchor) // timing.every, 0)
        return (timing.anchor + (passed + 1) * timing.every).astimezone(UTC)
    zone = ZoneInfo(timing.zone)
    if _allows_every_hour(timing.expression):
        return _next_while_passing(timing.expression, zone, after)
    return _next_on_wall(timing.expression, zone, after)


def slots_between(timing: Timing, after: datetime, until: datetime) -> Iterator[datetime]:
    """Give every slot with `after` < slot ≤ `until`, in order, in UTC."""
    slot = next_slot(timing, after)
    while slot is not None and slot <= until:
        yield slot
        slot = next_slot(timing, slot)


def latest_slots(timing: Timing, after: datetime, until: datetime, most: int) -> list[datetime]:
    """Return the last `most` slots of `slots_between`, in order, without walking through a long absence."""
    span = most * timing.every if isinstance(timing, Interval) else timedelta(minutes=most)
    while True:
        start = max(after, until - span)
        slots = list(slots_between(timing, start, until))
        if len(slots) >= most or start <= after:
            return slots[-most:]
        span *= 4


def preview(timing: Timing, after: datetime, count: int) -> list[datetime]:
    """Return the next `count` slots later than `after`; fewer when there are fewer."""
    return list(islice(slots_between(timing, after, datetime.max.replace(tzinfo=UTC)), count))


def _next_on_wall(expression: str, zone: ZoneInfo, after: datetime) -> datetime | None:
    """Each matching wall time once. In the second pass of a fold, times that have been come up again: passed by."""
    wall: datetime | None = after.astimezone(zone).replace(tzinfo=None)
    while wall is not None:
        wall = _next_wall(expression, wall)
        if wall is not None:
            moment = _first_moment(wall, zone)
            if moment > after:
                return moment
    return None


def _next_while_passing(expression: str, zone: ZoneInfo, after: datetime) -> datetime | None:
    """Each moment at which the wall clock shows a matching time: stretch by stretch between changes of the clock."""
    start = after.astimezone(UTC).replace(microsecond=0) + _SECOND
    while True:
        offset = _offset(start, zone)
        wall = _next_wall(expression, (start + offset).replace(tzinfo=None) - _SECOND)
        if wall is None:
            return None
        moment = wall.replace(tzinfo=UTC) - offset
        change = _next_change(zone, start, moment)
        if change is None:
            return moment
        start = change


def _first_moment(wall: datetime, zone: ZoneInfo) -> datetime:
    """The first moment at which a clock in `zone` shows `wall`, or that comes after the gap that swallows it."""
    moment = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if moment.astimezone(zone).replace(tzinfo=None) == wall:
        return moment
    # In a gap, fold=0 reckons with the offset from before it, which lands after it: the change lies in between.
    change = _next_change(zone, moment - _PROBE, moment)
    return moment if change is None else change


def _next_change(zone: ZoneInfo, start: datetime, end: datetime) -> datetime | None:
    """The first moment in (start, end] from which `zone` has another offset than before; to the second."""
    here, offset = start, _offset(start, zone)
    while here < end:
        ahead = min(here + _PROBE, end)
        if _offset(ahead, zone) != offset:
            return _bisect(zone, here, ahead, offset)
        here = ahead
    return None


def _bisect(zone: ZoneInfo, before: datetime, after: datetime, offset: timedelta) -> datetime:
    while after - before > _SECOND:
        middle = before + (after - before) // _SECOND // 2 * _SECOND
        if _offset(middle, zone) == offset:
            before = middle
        else:
            after = middle
    return after


def _offset(moment: datetime, zone: ZoneInfo) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta()


def _next_wall(expression: str, after: datetime) -> datetime | None:
    """The next matching time on a wall clock that is never changed; both naive."""
    wall: datetime | None = next(CronSim(_turn_week(expression), after), None)
    return wall


def _check_steps(fields: list[str]) -> None:
    """Refuse a step that leaves its field at once: `*/90` minutes is no hour and a half, but every full hour."""
    for text, (name, most) in zip(fields, _LARGEST.items(), strict=True):
        for part in text.split(","):
            _, slash, step = part.partition("/")
            if slash and step.isascii() and step.isdigit() and int(step) > most:
                raise InvalidInput(f"cron is not valid: the {name} field has no step of {step}", field="cron")


@lru_cache(maxsize=1024)
def _turn_week(expression: str) -> str:
    """Return the expression with ranges over the end of the week as lists: `FRI-MON`, and `MON-SUN`, since SUN is 0.

    A range of one, `5-5/2`, is that one.
    """
    *others, weekdays = _ALONE.sub(r"\1", expression).split(" ")
    return " ".join([*others, _RANGE.sub(_list_days, weekdays)])


def _list_days(found: re.Match[str]) -> str:
    first, last = (_DAYS.index(day.upper()) if day.isalpha() else int(day) for day in found.group(1, 2))
    if first <= last:
        return found[0]
    step = int(found[3] or 1)
    return ",".join(str(day % 7) for day in range(first, last + 8, step)) if step else found[0]


@lru_cache(maxsize=1024)
def _allows_every_hour(expression: str) -> bool:
    hours: frozenset[int] = frozenset(CronSim(_turn_week(expression), datetime(2000, 1, 1)).hours)  # noqa: DTZ001
    return hours == _HOURS
