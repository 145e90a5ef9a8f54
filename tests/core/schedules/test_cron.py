"""The slots of intervals, single times and cron expressions, also where wall clocks change."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swallowtail.app.core.errors import InvalidInput
from swallowtail.app.core.services.cron import (
    Cron,
    Interval,
    OneTime,
    check_cron,
    check_zone,
    latest_slots,
    next_slot,
    slots_between,
)
from tests.core.cron_oracle import local, next_slots, oracle

BERLIN, NEW_YORK, LORD_HOWE = "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def walls(expression: str, zone: str, start: str, end: str) -> str:
    """Return the slots in (start, end], both UTC, as day and wall time with offset."""
    result = slots_between(Cron(expression, zone), moment(start + "Z"), moment(end + "Z"))
    return ", ".join(local(slot, zone).strftime("%d %H:%M%z") for slot in result)


# Forward: Berlin 2026-03-29 02:00 → 03:00, New York 2026-03-08 02:00 → 03:00, Lord Howe 2026-10-04 02:00 → 02:30.
# Back: Berlin 2026-10-25 03:00 → 02:00, New York 2026-11-01 02:00 → 01:00, Lord Howe 2026-04-05 02:00 → 01:30.
GAPS = [
    ("30 2 * * *", BERLIN, "2026-03-28T00:00", "2026-03-30T12:00",
     "28 02:30+0100, 29 03:00+0200, 30 02:30+0200"),
    ("0 2 * * *", BERLIN, "2026-03-28T12:00", "2026-03-29T12:00",
     "29 03:00+0200"),
    ("0,20,40 2 * * *", BERLIN, "2026-03-28T12:00", "2026-03-29T12:00",
     "29 03:00+0200"),
    ("0 2,3 * * *", BERLIN, "2026-03-28T12:00", "2026-03-29T12:00",
     "29 03:00+0200"),
    ("30 1-3 * * *", BERLIN, "2026-03-28T22:00", "2026-03-29T06:00",
     "29 01:30+0100, 29 03:00+0200, 29 03:30+0200"),
    ("0 * * * *", BERLIN, "2026-03-28T23:00", "2026-03-29T03:00",
     "29 01:00+0100, 29 03:00+0200, 29 04:00+0200, 29 05:00+0200"),
    ("30 * * * *", BERLIN, "2026-03-29T00:00", "2026-03-29T02:00",
     "29 01:30+0100, 29 03:30+0200"),
    ("0 */2 * * *", BERLIN, "2026-03-28T22:30", "2026-03-29T03:00",
     "29 00:00+0100, 29 03:00+0200, 29 04:00+0200"),
    ("30 2 * * *", NEW_YORK, "2026-03-08T00:00", "2026-03-09T12:00",
     "08 03:00-0400, 09 02:30-0400"),
    ("15 2 * * *", LORD_HOWE, "2026-10-03T00:00", "2026-10-05T00:00",
     "04 02:30+1100, 05 02:15+1100"),
    ("30 2 * * *", LORD_HOWE, "2026-10-03T00:00", "2026-10-05T00:00",
     "04 02:30+1100, 05 02:30+1100"),
    ("*/15 * * * *", LORD_HOWE, "2026-10-03T15:00", "2026-10-03T15:45",
     "04 01:45+1030, 04 02:30+1100, 04 02:45+1100"),
    ("0 0 * * *", "America/Santiago", "2026-09-05T12:00", "2026-09-07T12:00",
     "06 01:00-0300, 07 00:00-0300"),
]  # fmt: skip
FOLDS = [
    ("30 2 * * *", BERLIN, "2026-10-24T12:00", "2026-10-26T12:00",
     "25 02:30+0200, 26 02:30+0100"),
    ("*/20 2 * * *", BERLIN, "2026-10-24T12:00", "2026-10-25T12:00",
     "25 02:00+0200, 25 02:20+0200, 25 02:40+0200"),
    ("0 * * * *", BERLIN, "2026-10-24T23:00", "2026-10-25T03:00",
     "25 02:00+0200, 25 02:00+0100, 25 03:00+0100, 25 04:00+0100"),
    ("0 1-4 * * *", BERLIN, "2026-10-24T22:30", "2026-10-25T12:00",
     "25 01:00+0200, 25 02:00+0200, 25 03:00+0100, 25 04:00+0100"),
    ("30 1 * * *", NEW_YORK, "2026-11-01T00:00", "2026-11-02T12:00",
     "01 01:30-0400, 02 01:30-0500"),
    ("45 1 * * *", LORD_HOWE, "2026-04-04T00:00", "2026-04-06T00:00",
     "05 01:45+1100, 06 01:45+1030"),
    ("*/15 * * * *", LORD_HOWE, "2026-04-04T14:15", "2026-04-04T15:30",
     "05 01:30+1100, 05 01:45+1100, 05 01:30+1030, 05 01:45+1030, 05 02:00+1030"),
]  # fmt: skip


@pytest.mark.parametrize(("expression", "zone", "start", "end", "expected"), GAPS)
def test_a_time_in_a_gap_fires_once_at_the_first_moment_after_it(
    expression: str, zone: str, start: str, end: str, expected: str
) -> None:
    assert walls(expression, zone, start, end) == expected


@pytest.mark.parametrize(("expression", "zone", "start", "end", "expected"), FOLDS)
def test_a_time_in_a_fold_fires_once_unless_every_hour_is_allowed(
    expression: str, zone: str, start: str, end: str, expected: str
) -> None:
    assert walls(expression, zone, start, end) == expected


def test_asking_from_inside_the_second_pass_of_a_fold_never_answers_with_the_past() -> None:
    timing = Cron("30 2 * * *", BERLIN)

    assert next_slot(timing, moment("2026-10-25T01:10Z")) == moment("2026-10-26T01:30Z")


def test_a_day_that_a_zone_leaves_out_fires_once_when_the_next_begins() -> None:
    assert walls("0 */6 * * *", "Pacific/Apia", "2011-12-30T05:00", "2011-12-30T17:00") == (
        "31 00:00+1400, 31 06:00+1400"
    )


def test_leap_days_last_days_and_nth_weekdays() -> None:
    def days(expression: str, count: int) -> list[str]:
        return [f"{slot:%Y-%m-%d}" for slot in next_slots(Cron(expression), moment("2026-01-01T00:00Z"), count)]

    assert days("0 12 29 2 *", 2) == ["2028-02-29", "2032-02-29"]
    assert days("0 12 L * *", 3) == ["2026-01-31", "2026-02-28", "2026-03-31"]
    assert days("0 12 * * MON#2", 2) == ["2026-01-12", "2026-02-09"]
    assert days("0 12 * * 5L", 2) == ["2026-01-30", "2026-02-27"]
    # Both day fields restricted: either will do, as in every cron.
    assert days("0 12 13 * 5", 3) == ["2026-01-02", "2026-01-09", "2026-01-13"]


def test_an_interval_is_reckoned_from_its_anchor_and_never_drifts() -> None:
    timing = Interval(timedelta(seconds=0.1 * 11), moment("2026-01-01T00:00:00.123Z"))
    anchor = timing.anchor

    assert next_slot(timing, anchor - timedelta(days=1)) == anchor + timing.every
    assert next_slot(timing, anchor) == anchor + timing.every
    assert next_slot(timing, anchor + timing.every) == anchor + 2 * timing.every
    late = anchor + 1_000_000 * timing.every + timedelta(microseconds=1)
    assert next_slot(timing, late) == anchor + 1_000_001 * timing.every


def test_a_one_off_has_one_slot() -> None:
    timing = OneTime(moment("2026-06-01T08:00+02:00"))

    assert next_slots(timing, moment("2026-01-01T00:00Z"), 5) == [moment("2026-06-01T06:00Z")]
    assert next_slot(timing, moment("2026-06-01T06:00Z")) is None


def test_the_latest_slots_of_a_long_absence_are_found_without_walking_through_it() -> None:
    until = moment("2026-01-01T00:00Z")
    century = until - timedelta(days=36_500)

    assert latest_slots(Cron("* * * * *"), century, until, 3) == [until - timedelta(minutes=n) for n in (2, 1, 0)]
    assert latest_slots(Interval(timedelta(seconds=1), century), century, until, 2) == [
        until - timedelta(seconds=1),
        until,
    ]
    assert latest_slots(Cron("0 0 1 1 *"), until - timedelta(days=300), until, 5) == [until]


@pytest.mark.parametrize(
    ("expression", "complaint"),
    [
        ("", "five fields"),
        ("* * * *", "five fields"),
        ("* * * * * *", "five fields"),
        ("@daily", "five fields"),
        ("60 * * * *", "bad minute"),
        ("* 24 * * *", "bad hour"),
        ("* * 0 * *", "bad day-of-month"),
        ("* * * 13 *", "bad month"),
        ("* * * * 8", "bad day-of-week"),
        ("*/0 * * * *", "bad minute"),
        ("5-1 * * * *", "bad minute"),
        ("a * * * *", "bad minute"),
        ("1, * * * *", "bad minute"),
        ("0 0 30 2 *", "bad day-of-month"),
        ("0 0 31 4,6 *", "bad day-of-month"),
    ],
)
def test_a_bad_cron_expression_is_refused_with_its_field(expression: str, complaint: str) -> None:
    with pytest.raises(InvalidInput, match=complaint) as refused:
        check_cron(expression)
    assert refused.value.field == "cron"


@settings(deadline=None)
@given(st.text(alphabet="0123456789*/,-#LWMONJA ²٣", max_size=30) | st.text(max_size=40))
def test_no_text_makes_the_cron_check_do_anything_but_refuse_or_accept(text: str) -> None:
    with contextlib.suppress(InvalidInput):
        assert next_slot(Cron(check_cron(text)), moment("2026-01-01T00:00Z")) is not None


@pytest.mark.parametrize(
    "name", ["", "Nowhere/Town", "europe", "../../etc/passwd", "/etc/localtime", "localtime", "UTC+25"]
)
def test_an_unknown_zone_is_refused_with_its_field(name: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_zone(name)
    assert refused.value.field == "timezone"


FIELDS = st.sampled_from(["*", "*/2", "*/3", "0", "1", "1,2", "2", "0-3", "1-3", "3", "*/5", "0-23"])
MINUTES = st.sampled_from(["0", "30", "15,45", "*/20", "*/30", "*", "5-10", "59", "0,30"])
#: A day and a half around changes of the clock, and one without.
STARTS = {
    BERLIN: ["2026-03-28T20:00Z", "2026-10-24T20:00Z", "2026-07-01T00:00Z"],
    NEW_YORK: ["2026-03-08T00:00Z", "2026-11-01T00:00Z"],
    LORD_HOWE: ["2026-10-03T08:00Z", "2026-04-04T08:00Z"],
    "America/Santiago": ["2026-09-05T22:00Z", "2026-04-04T22:00Z"],
    "Africa/Casablanca": ["2026-02-14T22:00Z", "2026-03-21T22:00Z"],
    "Asia/Kathmandu": ["2026-01-01T00:00Z"],
}


@pytest.mark.long
@settings(deadline=None, max_examples=150)
@given(
    place=st.sampled_from([(zone, start) for zone, starts in STARTS.items() for start in starts]),
    minute=MINUTES,
    hour=FIELDS,
    shift=st.integers(0, 12 * 3600),
)
def test_every_slot_is_where_a_walk_over_every_minute_finds_it(
    place: tuple[str, str], minute: str, hour: str, shift: int
) -> None:
    zone, start = place
    after = moment(start) + timedelta(seconds=shift)
    until = after + timedelta(hours=30)
    expression = f"{minute} {hour} * * *"

    result = list(slots_between(Cron(expression, zone), after, until))

    assert result == oracle(expression, zone, after, until)


@settings(deadline=None)
@given(
    minute=MINUTES,
    hour=FIELDS,
    zone=st.sampled_from(sorted(STARTS)),
    seconds=st.integers(0, 2 * 366 * 86_400),
    most=st.integers(1, 5),
)
def test_slots_rise_and_the_latest_are_the_last_of_all(
    minute: str, hour: str, zone: str, seconds: int, most: int
) -> None:
    timing = Cron(f"{minute} {hour} * * *", zone)
    after = moment("2025-06-01T00:00Z") + timedelta(seconds=seconds)
    until = after + timedelta(hours=36)

    result = list(slots_between(timing, after, until))

    assert all(earlier < later for earlier, later in pairwise([after, *result]))
    assert all(slot.tzinfo is UTC for slot in result)
    assert latest_slots(timing, after, until, most) == result[-most:]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("MON-SUN", "1,2,3,4,5,6,0"),
        ("fri-sun", "5,6,0"),
        ("5-0", "5,6,0"),
        ("SAT-TUE", "6,0,1,2"),
        ("SAT-TUE/2", "6,1"),
        ("WED,SAT-MON", "3,6,0,1"),
        ("MON-FRI", "1-5"),
        ("SUN-MON", "0-1"),
        ("6-7", "6,0"),
        ("tue-TUE/2", "2"),
        ("1-1/3,5-5/2", "1,5"),
    ],
)
def test_a_range_of_weekdays_may_go_over_the_end_of_the_week(written: str, meant: str) -> None:
    def days(weekdays: str) -> list[datetime]:
        return next_slots(Cron(check_cron(f"0 12 * * {weekdays}")), moment("2026-01-01T00:00Z"), 20)

    assert days(written) == days(meant)


@pytest.mark.parametrize(
    ("expression", "field"),
    [
        ("*/90 * * * *", "minute"),
        ("*/60 * * * *", "minute"),
        ("5,0-30/90 * * * *", "minute"),
        ("0 */24 * * *", "hour"),
        ("0 0 */32 * *", "day"),
        ("0 0 * */13 *", "month"),
        ("0 0 * * */8", "weekday"),
    ],
)
def test_a_step_that_leaves_its_field_at_once_is_refused(expression: str, field: str) -> None:
    with pytest.raises(InvalidInput, match=f"the {field} field has no step of") as refused:
        check_cron(expression)
    assert refused.value.field == "cron"


def test_a_range_of_one_with_a_step_is_that_one() -> None:
    start = moment("2026-01-01T00:00Z")
    assert next_slots(Cron("5-5/2 7-7/3 * * *"), start, 5) == next_slots(Cron("5 7 * * *"), start, 5)
