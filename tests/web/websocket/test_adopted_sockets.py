"""A websocket with which something goes wrong while it is let in is forgotten, and everybody else is served."""

from __future__ import annotations

import select
import socket
from typing import Any

import pytest
import socketio

from swallowtail.app.web.engineio.fast_engine import Engine
from swallowtail.app.web.websocket.budgets import MemoryBudgets
from swallowtail.app.web.websocket.event_loop import EventLoop
from swallowtail.app.web.websocket.handshake import UpgradeRequest
from tests.harness.settings import make_settings


def make_engine() -> tuple[Engine, EventLoop]:
    server = socketio.Server(async_mode="threading", async_handlers=False)
    settings = make_settings()
    reactor = EventLoop(select.epoll(), lambda _: None, lambda work: work())
    return Engine(server, settings, reactor, MemoryBudgets(settings)), reactor


@pytest.mark.parametrize("broken", ["the greeting", "the poller"])
def test_what_goes_wrong_while_a_websocket_is_let_in_leaves_nothing_behind(
    broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, reactor = make_engine()
    known: list[str] = []
    engine.eio.on("connect", lambda sid, environ: known.append(sid))
    engine.eio.on("disconnect", lambda sid, reason: known.remove(sid))

    def fail(*_: Any) -> None:
        raise OSError("no space left")

    if broken == "the greeting":
        monkeypatch.setattr(engine, "_greeting", fail)
    else:
        monkeypatch.setattr(reactor, "watch", fail)
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    upgrade = UpgradeRequest({"REQUEST_METHOD": "GET", "QUERY_STRING": "EIO=4"}, b"a" * 24, 0)
    with theirs, pytest.raises(OSError, match="no space left"):
        engine.adopt(ours, upgrade)
    assert (len(engine), known, ours.fileno()) == (0, [], -1)
