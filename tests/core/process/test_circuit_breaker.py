"""A circuit breaker lets no caller use a failed service for a while, then one caller, and all after a success."""

from __future__ import annotations

from swallowtail.app.core.process.circuit_breaker import CircuitBreaker


class Clock:
    """A clock that tests move."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_after_a_failure_one_caller_tries_again_after_a_pause() -> None:
    clock = Clock()
    breaker = CircuitBreaker(1.0, clock)
    assert breaker.allows()
    assert breaker.record_failure()
    assert not breaker.allows()
    assert breaker.retry_at == 1.0
    clock.now = 1.0
    assert breaker.allows()
    assert not breaker.allows()
    assert not breaker.record_failure()
    assert breaker.retry_at == 2.0


def test_a_success_closes_the_circuit_for_all() -> None:
    clock = Clock()
    breaker = CircuitBreaker(1.0, clock)
    breaker.record_failure()
    clock.now = 1.0
    assert breaker.allows()
    breaker.record_success()
    assert breaker.retry_at == 0.0
    assert breaker.allows()
    assert breaker.allows()
    assert breaker.record_failure()
