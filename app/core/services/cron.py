"""Computes the slots of a schedule from its cron expression, interval or single time.

Pure functions without clock or database. docs/schedules.md describes the rules for users.

A cron expression names times on a wall clock, which skips times (a gap) or repeats times (a fold) when it is changed:

* an expression that allows every hour (`*/10 * * * *`) fires whenever the wall clock shows a matching time, so also
  during both passes of a fold;
* any other expression (`30 2 * * *`) fires once for each matching time: in a gap, at the first moment after the gap
  (once for several times), and in a fold, at the first pass.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from swallowtail.app.core.errors import InvalidInput

_MICROSECOND = timedelta(microseconds=1)
_SECOND = timedelta(seconds=1)
#: No zone changes its clock twice within this time.
_PROBE = timedelta(days=1)
_FIELDS = 5
_HOURS = frozenset(range(24))
#: The largest step of each field.
_LARGEST = {"minute": 59, "hour": 23, "day": 31, "month": 12, "weekday": 7}
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_RANGE = re.compile(
    rf"(?<![\w-])({'|'.join(_DAYS)}|[0-7])-({'|'.join(_DAYS)}|[0-7])(?:/([0-9]{{1,2}}))?(?![\w#-])", re.IGNORECASE
)
#: A range of one value with a step, which the library would extend to the end of the field.
_ALONE = re.compile(r"(?<![\w-])(\w+)-\1/[1-9][0-9]?(?![\w-])", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Cron:
    """Times on the wall clock of `zone` (an IANA name), in five fields: minute, hour, day, month, weekday."""

    expression: str
    zone: str = "UTC"


@dataclass(frozen=True, slots=True)
class Interval:
    """`anchor + n * every` for n = 1, 2, …, so that errors do not accumulate."""

    every: timedelta
    anchor: datetime


@dataclass(frozen=True, slots=True)
class OneTime:
    """One single time."""

    at: datetime


Timing = Cron | Interval | OneTime


def check_cron(expression: str) -> str:
    """Return a valid cron expression with single spaces. Raises InvalidInput."""
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
    """Return `name` if it is the IANA name of a time zone. Raises InvalidInput."""
    try:
        # `localtime` is a file that differs between machines.
        if name and name != "localtime":
            ZoneInfo(name)
            return name
    except (KeyError, ValueError, OSError):
        pass
    raise InvalidInput(f"there is no time zone {name!r}; use an IANA name such as Europe/Berlin", field="timezone")


def next_slot(timing: Timing, after: datetime) -> datetime | None:
    """Return the first slot after `after`, in UTC; None if there is none."""
    if isinstance(timing, OneTime):
        return timing.at.astimezone(UTC) if timing.at > after else None
    if isinstance(timing, Interval):
        passed = max((after - timing.anchor) // timing.every, 0)
        return (timing.anchor + (passed + 1) * timing.every).astimezone(UTC)
    zone = ZoneInfo(timing.zone)
    if _allows_every_hour(timing.expression):
        return _next_while_passing(timing.expression, zone, after)
    return _next_on_wall(timing.expression, zone, after)


def slots_between(timing: Timing, after: datetime, until: datetime) -> Iterator[datetime]:
    """Yield every slot with `after` < slot ≤ `until`, in order, in UTC."""
    slot = next_slot(timing, after)
    while slot is not None and slot <= until:
        yield slot
        slot = next_slot(timing, slot)


def latest_slots(timing: Timing, after: datetime, until: datetime, most: int) -> list[datetime]:
    """Return the last `most` slots of `slots_between`, in order, without computing all slots of a long time."""
    span = most * timing.every if isinstance(timing, Interval) else timedelta(minutes=most)
    while True:
        start = max(after, until - span)
        slots = list(slots_between(timing, start, until))
        if len(slots) >= most or start <= after:
            return slots[-most:]
        span *= 4


def _next_on_wall(expression: str, zone: ZoneInfo, after: datetime) -> datetime | None:
    """Return the next slot of an expression that fires once for each matching time."""
    wall: datetime | None = after.astimezone(zone).replace(tzinfo=None)
    while wall is not None:
        wall = _next_wall(expression, wall)
        if wall is not None:
            moment = _first_moment(wall, zone)
            # In the second pass of a fold, matching times belong to the first pass.
            if moment > after:
                return moment
    return None


def _next_while_passing(expression: str, zone: ZoneInfo, after: datetime) -> datetime | None:
    """Return the next moment at which the wall clock shows a matching time, from one clock change to the next."""
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
    """Return the first moment at which a clock in `zone` shows `wall`, or the first moment after the gap around it."""
    moment = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if moment.astimezone(zone).replace(tzinfo=None) == wall:
        return moment
    # In a gap, fold=0 uses the offset before the gap, so that `moment` is after it: the change lies in between.
    change = _next_change(zone, moment - _PROBE, moment)
    return moment if change is None else change


def _next_change(zone: ZoneInfo, start: datetime, end: datetime) -> datetime | None:
    """Return the first moment in (start, end] at which the offset of `zone` changes, to the second."""
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
    """Return the next matching time on a wall clock that is never changed; both are naive."""
    wall: datetime | None = next(CronSim(_turn_week(expression), after), None)
    return wall


def _check_steps(fields: list[str]) -> None:
    """Refuse a step that is larger than its field: `*/90` minutes would be every hour, not every hour and a half."""
    for text, (name, most) in zip(fields, _LARGEST.items(), strict=True):
        for part in text.split(","):
            _, slash, step = part.partition("/")
            if slash and step.isascii() and step.isdigit() and int(step) > most:
                raise InvalidInput(f"cron is not valid: the {name} field has no step of {step}", field="cron")


@lru_cache(maxsize=1024)
def _turn_week(expression: str) -> str:
    """Return the expression with ranges over the end of the week (`FRI-MON`) as lists, and `5-5/2` as `5`."""
    *others, weekdays = _ALONE.sub(r"\1", expression).split(" ")
    return " ".join([*others, _RANGE.sub(_list_days, weekdays)])


def _list_days(match: re.Match[str]) -> str:
    first, last = (_DAYS.index(day.upper()) if day.isalpha() else int(day) for day in match.group(1, 2))
    if first <= last:
        return match[0]
    step = int(match[3] or 1)
    return ",".join(str(day % 7) for day in range(first, last + 8, step)) if step else match[0]


@lru_cache(maxsize=1024)
def _allows_every_hour(expression: str) -> bool:
    hours: frozenset[int] = frozenset(CronSim(_turn_week(expression), datetime(2000, 1, 1)).hours)  # noqa: DTZ001
    return hours == _HOURS
