"""A websocket whose setup fails is forgotten, and all others are served."""

from __future__ import annotations

import select
import socket
from typing import Any

import pytest
import socketio

from swallowtail.app.web.engineio.fast_engine import FastEngine
from swallowtail.app.web.engineio.sessions import Sessions
from swallowtail.app.web.http.request_guard import RequestGuard
from swallowtail.app.web.websocket.budgets import MemoryBudgets
from swallowtail.app.web.websocket.event_loop import EventLoop
from swallowtail.app.web.websocket.handshake import UpgradeRequest
from tests.harness.settings import make_settings


def make_engine() -> tuple[FastEngine, EventLoop]:
    server = socketio.Server(async_mode="threading", async_handlers=False)
    settings = make_settings()
    loop = EventLoop(select.epoll(), lambda _: None, lambda work: work())
    budgets, guard = MemoryBudgets(settings), RequestGuard(settings)
    return FastEngine(Sessions(server), settings, loop, budgets, guard, lambda client: None), loop


@pytest.mark.parametrize("broken", ["the open packet", "the poller"])
def test_a_websocket_whose_setup_fails_leaves_nothing_behind(broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, loop = make_engine()
    known: list[str] = []
    engine.eio.on("connect", lambda sid, environ: known.append(sid))
    engine.eio.on("disconnect", lambda sid, reason: known.remove(sid))

    def fail(*_: Any) -> None:
        raise OSError("no space left")

    if broken == "the open packet":
        monkeypatch.setattr(engine, "_open_packet", fail)
    else:
        monkeypatch.setattr(loop, "watch", fail)
    server_side, client_side = socket.socketpair()
    server_side.setblocking(False)
    upgrade = UpgradeRequest({"REQUEST_METHOD": "GET", "QUERY_STRING": "EIO=4"}, b"a" * 24, 0)
    with client_side, pytest.raises(OSError, match="no space left"):
        engine.serve_socket(server_side, upgrade)
    assert (len(engine), known, server_side.fileno()) == (0, [], -1)
