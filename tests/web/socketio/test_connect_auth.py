"""A Socket.IO client is counted while it is connected, and not longer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from swallowtail.app.core.errors import TooMany
from swallowtail.app.core.security.actors import Actor
from swallowtail.app.web.socketio.connect_auth import ConnectAuth
from tests.harness.settings import make_settings

ANN = Actor("user", "u1", "ann", user_id="u1")


class Scene:
    """One session that connects, and what the server did about it."""

    def __init__(self, var: Path) -> None:
        self.done: list[str] = []
        self.waiting: list[Callable[[], None]] = []
        self.refuses = False
        self.while_asking: Callable[[], None] = lambda: None
        server = SimpleNamespace(
            environ={"e": {"REMOTE_ADDR": "192.0.2.1"}},
            _handle_connect=lambda *_: self._accept(),
            _send_packet=lambda *_: self.done.append("refused"),
            packet_class=lambda *arguments, **options: arguments,
        )
        self.server = server
        parts: dict[str, Any] = {
            "settings": make_settings(var_dir=var, auth="required", secret_key="k" * 40),
            "tokens": SimpleNamespace(read=lambda token: ANN, is_of_ours=lambda token: True),
            "passes": SimpleNamespace(version=1),
            "transport": SimpleNamespace(defer_session=lambda eio_sid, work: self.waiting.append(work)),
            "limits": SimpleNamespace(
                needs_redis=lambda *_: True, acquire_connection=self._acquire, release_connection=self._release
            ),
            "denied_requests": SimpleNamespace(),
        }
        self.auth = ConnectAuth(server, *parts.values())

    def connect(self) -> None:
        """Connect, and run the deferred work."""
        self.auth.handle_connect("e", "/", {"token": "t"})
        assert "asked" not in self.done
        while self.waiting:
            self.waiting.pop()()

    def _acquire(self, *_: object) -> None:
        self.done.append("asked")
        self.while_asking()
        if self.refuses:
            raise TooMany

    def _release(self, *_: object) -> None:
        self.done.append("released")

    def _accept(self) -> None:
        self.done.append("accepted")
        assert self.auth.pop_accepted("e") == (ANN, 1)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def test_the_event_loop_does_not_wait_for_redis_even_with_a_known_token(scene: Scene) -> None:
    for _ in range(2):
        scene.connect()
        assert scene.done == ["asked", "accepted"]
        scene.done.clear()


def test_a_client_that_disconnects_while_redis_is_asked_is_not_counted(scene: Scene) -> None:
    scene.while_asking = scene.server.environ.clear
    scene.connect()
    assert scene.done == ["asked", "released"]
    assert scene.auth.pop_accepted("e")[0].kind == "nobody"


def test_a_refused_client_is_not_accepted(scene: Scene) -> None:
    scene.refuses = True
    scene.connect()
    assert scene.done == ["asked", "refused"]
