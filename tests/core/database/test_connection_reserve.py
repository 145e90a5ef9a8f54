"""A process that leaves connections to runs reports an outage after a refusal as what it is."""

from __future__ import annotations

from typing import Any

import pytest

from swallowtail.app.core.database.connection_budget import RESERVED, ConnectionReserve
from swallowtail.app.core.errors import Unavailable

pytestmark = pytest.mark.unit


class Server:
    """A server with ten connections, of which none is left, as dialect, connection and cursor."""

    is_away = is_cut = False

    def connect(self) -> Server:
        """Open a connection unless the server is away."""
        if self.is_away:
            raise ConnectionError("away")
        return self

    cursor = connect

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None: ...

    def close(self) -> None:
        """Close the connection."""

    rollback = close

    def execute(self, _: str) -> None:
        """Query the budget unless the connection is cut."""
        if self.is_cut:
            raise ConnectionError("cut")

    def fetchone(self) -> tuple[int, int]:
        """Return the limit and the rest."""
        return 10, 0


@pytest.mark.parametrize("fault", ["is_away", "is_cut"])
def test_an_outage_after_a_refusal_is_reported_as_an_outage(monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    """Nothing was recorded of it: for a second, each other caller got the error that the rest is kept for runs."""
    now = 100.0
    reserve, server = ConnectionReserve(5), Server()
    monkeypatch.setattr(reserve._breaker, "_clock", lambda: now)
    expect_refusal(reserve, server)
    setattr(server, fault, True)
    expect_refusal(reserve, server)
    now += 1.0
    for _ in range(2):
        with pytest.raises(ConnectionError):
            open_connection(reserve, server)
    setattr(server, fault, False)
    expect_refusal(reserve, server)
    expect_refusal(reserve, server)


def open_connection(reserve: ConnectionReserve, server: Server) -> Any:
    """Open a connection as SQLAlchemy does."""
    return reserve.connect(server, None, (), {})


def expect_refusal(reserve: ConnectionReserve, server: Server) -> None:
    """Expect that the rest is kept for runs."""
    with pytest.raises(Unavailable, match=RESERVED):
        open_connection(reserve, server)
