"""How exceptions of any kind are described and logged, and which delay they ask for."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, NoReturn

import httpx2
import pytest
import structlog

from swallowtail.app.core.config.settings import Settings
from swallowtail.workers.run.error_text import describe, log_exception
from swallowtail.workers.run.outcomes import PermanentError
from swallowtail.workers.run.retry_policy import requested_delay, retry_delay
from tests.harness.settings import make_settings
from tests.workers.conftest import Harness
from tests.workers.run.test_context import outcome_of


class Odd:
    """An object that cannot be printed."""

    def __str__(self) -> NoReturn:
        raise SystemExit(3)

    __repr__ = __str__


class Liar(str):
    """Text that raises when it is read."""

    def __str__(self) -> Liar:
        return self

    def __getitem__(self, _: Any) -> NoReturn:
        raise LookupError

    def __len__(self) -> NoReturn:
        raise LookupError


class Unprintable(Exception):
    def __str__(self) -> NoReturn:
        raise ValueError


class Exits(Exception):
    def __str__(self) -> NoReturn:
        sys.exit(1)


class NoText(Exception):
    def __str__(self) -> Any:
        return 5


class Classless(Exception):
    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        raise LookupError


class Nameless(type):
    @property
    def __name__(cls) -> NoReturn:  # type: ignore[override]
        raise LookupError


class Metaless(Exception, metaclass=Nameless):
    pass


class Forgetful(PermanentError):
    def __init__(self) -> None:
        pass


#: Created in the tests: a test collector may not be able to print them.
HOSTILE: dict[str, tuple[Callable[[], BaseException], str, str | None]] = {
    "1": (lambda: Unprintable(), "exception", "Unprintable"),
    "2": (lambda: Exits(), "exception", "Exits"),
    "3": (lambda: NoText(), "exception", "NoText"),
    "4": (lambda: Classless(), "exception", "Classless"),
    "5": (lambda: Metaless(), "exception", "Metaless"),
    "6": (lambda: ValueError(Odd()), "exception", "ValueError"),
    "7": (lambda: KeyError(Odd()), "exception", "KeyError"),
    "8": (lambda: SystemExit(Odd()), "exception", "SystemExit"),
    "9": (lambda: KeyboardInterrupt(Odd()), "exception", "KeyboardInterrupt"),
    "10": (lambda: ExceptionGroup("two", [Unprintable(), ValueError(Odd())]), "exception", "ExceptionGroup"),
    "11": (lambda: PermanentError(Odd(), code=Odd()), "permanent", None),  # type: ignore[arg-type]
    "12": (lambda: PermanentError(Liar("x"), code=Liar("y")), "y", None),
    "13": (lambda: Forgetful(), "permanent", None),
}


@pytest.mark.parametrize("which", HOSTILE)
def test_every_exception_can_be_described(which: str) -> None:
    make, code, kind = HOSTILE[which]
    error = describe(make())
    assert (error["code"], error.get("type")) == (code, kind)
    assert type(error["message"]) is str
    assert error["message"]


@pytest.mark.parametrize("which", HOSTILE)
def test_every_exception_can_be_logged(which: str, capsys: pytest.CaptureFixture[str]) -> None:
    structlog.reset_defaults()
    log_exception(structlog.get_logger(), "it_failed", HOSTILE[which][0](), step="one")
    assert "it_failed" in capsys.readouterr().out


class Busy(Exception):
    def __init__(self, retry_after: Any) -> None:
        super().__init__("busy")
        self.retry_after = retry_after


def answered(header: str) -> httpx2.HTTPStatusError:
    request = httpx2.Request("GET", "http://localhost")
    return httpx2.HTTPStatusError("no", request=request, response=httpx2.Response(429, headers={"Retry-After": header}))


class Twisted(Exception):
    @property
    def retry_after(self) -> NoReturn:
        raise SystemError


@pytest.mark.parametrize(
    ("fault", "seconds"),
    [
        (Busy(30), 30.0),
        (Busy(2.5), 2.5),
        (Busy("7"), 7.0),
        (Busy(timedelta(minutes=2)), 120.0),
        (answered("11"), 11.0),
        (Busy(-1), 0.0),
        (Busy(math.nan), 0.0),
        (Busy(math.inf), 0.0),
        (Busy("soon"), 0.0),
        (Busy([]), 0.0),
        (answered("soon"), 0.0),
        (answered("Wed, 21 Oct 2015 07:28:00 GMT"), 0.0),
        (Twisted(), 0.0),
        (LookupError(), 0.0),
    ],
)
def test_an_error_may_ask_for_a_delay(fault: BaseException, seconds: float) -> None:
    assert requested_delay(fault) == seconds


def test_the_delay_may_be_a_date() -> None:
    in_an_hour = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    assert 3000 < requested_delay(answered(in_an_hour)) <= 3600


@pytest.fixture
def settings() -> Settings:
    return make_settings(backoff_base=1.0, backoff_max=1.0, retry_after_max=60.0)


def test_a_delay_is_at_least_the_requested_and_at_most_the_allowed_one(settings: Settings) -> None:
    assert retry_delay(Busy(30), 1, settings) == 30.0
    assert retry_delay(Busy(3000), 1, settings) == 60.0
    assert retry_delay(LookupError(), 1, settings) <= 1.0


def test_a_step_is_tried_again_no_sooner_than_its_error_asks(harness: Harness) -> None:
    ctx = harness.context(harness.claim(harness.submit()))

    def refuse() -> NoReturn:
        raise Busy(30)

    assert outcome_of(ctx.step, "ask", refuse).delay == 30.0
