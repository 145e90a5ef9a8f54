"""Runs a function once, at an exact moment of another transaction."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event, text

from swallowtail.app.core.ledger.unit_of_work import UnitOfWork
from tests.core.domain import Domain
from tests.harness.waiting import wait_until

Act = Callable[[], object]


def before_next_commit(monkeypatch: pytest.MonkeyPatch, act: Act) -> None:
    """Call `act` right before the next transaction of any unit of work begins."""
    original, pending = UnitOfWork.commit, [act]

    def commit(self: UnitOfWork, *arguments: Any, **more: Any) -> Any:
        if pending:
            pending.pop()()
        return original(self, *arguments, **more)

    monkeypatch.setattr(UnitOfWork, "commit", commit)


def before_statement(domain: Domain, beginning: str, act: Act) -> None:
    """Call `act` right before the domain's first statement with this beginning."""
    pending = [act]

    @event.listens_for(domain.db.engine, "before_cursor_execute")
    def check(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if pending and statement.startswith(beginning):
            pending.pop()()


def before_commit_of(domain: Domain, beginning: str, act: Act) -> None:
    """Call `act` right before the commit of the domain's first transaction with such a statement."""
    pending, seen = [act], set[int]()

    @event.listens_for(domain.db.engine, "before_cursor_execute")
    def check(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if pending and statement.startswith(beginning):
            seen.add(id(connection))

    @event.listens_for(domain.db.engine, "commit")
    def commit(connection: Any) -> None:
        if pending and id(connection) in seen:
            pending.pop()()


class ThreadedAct:
    """A function that runs in a thread of its own, and its outcome."""

    def __init__(self, act: Act) -> None:
        self._act = act
        self._thread = threading.Thread(target=self._run)
        self.outcome: object = None
        self.fault: Exception | None = None

    def start_and_wait_for_lock(self, domain: Domain) -> None:
        """Start it, and return once it waits for a lock of another transaction (PostgreSQL)."""
        self._thread.start()
        wait_until(lambda: waiters(domain) or not self._thread.is_alive(), "it waits for a lock")
        assert self._thread.is_alive(), self.fault

    def _run(self) -> None:
        try:
            self.outcome = self._act()
        except Exception as fault:
            self.fault = fault

    @contextmanager
    def ended(self) -> Iterator[None]:
        """Wait for its end at the end of the block."""
        yield
        self._thread.join(60)
        assert not self._thread.is_alive()


def waiters(domain: Domain) -> int:
    """Return how many connections to the domain's database wait for a lock."""
    query = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    with domain.db.engine.connect() as connection:
        return int(connection.scalar(query) or 0)
