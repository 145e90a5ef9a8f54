"""Checks run at the same time, each with a limit, and an error in one is a result."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from swallowtail.app.core.errors import Unavailable
from swallowtail.scripts.doctor.clocks import check_clock
from swallowtail.scripts.doctor.results import Check, CheckResult, describe, run_checks

OK = CheckResult("ok", "first", "fine")


def test_a_check_that_blocks_ends_at_the_limit_and_keeps_its_results() -> None:
    released = threading.Event()

    def block() -> Iterator[CheckResult]:
        yield OK
        released.wait()

    results = run_checks([Check("slow", block), Check("quick", lambda: [OK])], 0.05)
    released.set()
    assert [(result.status, result.check) for result in results] == [
        ("ok", "first"),
        ("problem", "slow"),
        ("ok", "first"),
    ]
    assert results[1].detail == "there was no answer within 0.05 s"


def test_a_check_that_raises_is_a_problem() -> None:
    def fail() -> Iterator[CheckResult]:
        yield OK
        raise ZeroDivisionError("no\nway")

    def refuse() -> Iterator[CheckResult]:
        raise Unavailable("the database is locked")

    results = run_checks([Check("one", fail), Check("two", refuse)], 10.0)
    assert [result.detail for result in results] == [
        "fine",
        "the check failed: ZeroDivisionError: no",
        "the database is locked",
    ]
    assert [result.status for result in results] == ["ok", "problem", "problem"]


def test_a_described_error_has_no_secrets() -> None:
    text = describe(ValueError("cannot open redis://user:hunter2hunter2@host:6379/0"))
    assert "hunter2" not in text


def test_a_clock_is_compared_with_the_moments_around_its_reading() -> None:
    assert check_clock("Redis", 1001.0, 1000.0, 1002.0).status == "ok"
    assert check_clock("Redis", 1060.0, 1000.0, 1030.0).status == "warning"
    ahead, behind = check_clock("Redis", 1010.0, 1000.0, 1000.0), check_clock("Redis", 400.0, 1000.0, 1000.0)
    assert (ahead.status, ahead.detail) == ("warning", "Redis is 10 s ahead of this machine's clock")
    assert (behind.status, behind.detail) == ("warning", "Redis is 600 s behind this machine's clock")
    assert "NTP" in ahead.remedy
