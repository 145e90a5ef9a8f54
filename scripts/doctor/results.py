"""The result of a check, and the runner of all checks, each in a thread of its own with a time limit."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from swallowtail.app.core.errors import SwallowtailError
from swallowtail.app.core.privacy.redaction import redact_text
from swallowtail.app.core.privacy.redaction_rules import PATTERNS_ONLY

Level = Literal["ok", "warning", "problem"]


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What one check found."""

    status: Level
    #: What was checked.
    check: str
    detail: str
    #: What to do; empty if nothing is to be done.
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """A check by its name; it yields its results as it finds them."""

    name: str
    run: Callable[[], Iterable[CheckResult]]
    #: Whether it only uses the processor of this machine, so that it always ends.
    is_local: bool = False


class _Attempt:
    """One check that runs in a thread, which a blocked call may hold for ever."""

    def __init__(self, check: Check) -> None:
        self.name = check.name
        self._check = check
        self._results: list[CheckResult] = []
        self._thread = threading.Thread(target=self._run, name=f"check {check.name}", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            for result in self._check.run():
                self._results.append(result)
        except SwallowtailError as error:
            self._results.append(CheckResult("problem", self.name, error.message))
        except Exception as error:  # a check that fails is a result, and must not end the others
            self._results.append(CheckResult("problem", self.name, f"the check failed: {describe(error)}"))

    def finish(self, until: float, seconds: float) -> list[CheckResult]:
        """Return the results at the latest at `until`, by the monotonic clock."""
        self._thread.join(None if self._check.is_local else max(0.0, until - time.monotonic()))
        results = self._results[:]
        if self._thread.is_alive():
            detail = f"there was no answer within {seconds:g} s"
            remedy = "the service is overloaded or a firewall drops its packets; --timeout waits longer"
            results.append(CheckResult("problem", self.name, detail, remedy))
        return results


def run_checks(checks: Sequence[Check], seconds: float) -> list[CheckResult]:
    """Run the checks at the same time and return their results in order; none takes longer than `seconds`."""
    until = time.monotonic() + seconds
    attempts = [_Attempt(check) for check in checks]
    return [result for attempt in attempts for result in attempt.finish(until, seconds)]


def describe(error: BaseException) -> str:
    """Return an error in one line without secrets."""
    lines = str(error).splitlines()
    text = lines[0] if lines else ""
    return redact_text(f"{type(error).__name__}: {text}" if text else type(error).__name__, PATTERNS_ONLY)
