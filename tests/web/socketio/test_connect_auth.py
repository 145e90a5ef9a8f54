"""Who is let in by Socket.IO is counted, and no longer than they are there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from swallowtail.app.core.errors import TooMany
from swallowtail.app.core.security.permissions import Actor
from swallowtail.app.web.socketio.connect_auth import ConnectAuth
from tests.harness.settings import make_settings

ANN = Actor("user", "u1", "ann", user_id="u1")


class Scene:
    """A door with one connection in front of it, and what was done about it."""

    def __init__(self, var: Path) -> None:
        self.done: list[str] = []
        self.waiting: list[Callable[[], None]] = []
        self.refuses = False
        self.while_asked: Callable[[], None] = lambda: None
        server = SimpleNamespace(
            environ={"e": {"REMOTE_ADDR": "192.0.2.1"}},
            _handle_connect=lambda *_: self._accept(),
            _send_packet=lambda *_: self.done.append("refused"),
            packet_class=lambda *given, **more: given,
        )
        self.server = server
        parts: dict[str, Any] = {
            "settings": make_settings(var_dir=var, auth="required", secret_key="k" * 40),
            "tokens": SimpleNamespace(read=lambda token: ANN, is_of_ours=lambda token: True),
            "passes": SimpleNamespace(version=1),
            "transport": SimpleNamespace(set_aside=lambda eio_sid, work: self.waiting.append(work)),
            "limits": SimpleNamespace(
                needs_redis=lambda *_: True, acquire_connection=self._enter, release_connection=self._leave
            ),
            "refusals": SimpleNamespace(),
        }
        self.door = ConnectAuth(server, *parts.values())

    def knock(self) -> None:
        """Connect, and let what was set aside be done."""
        self.door.knock("e", "/", {"token": "t"})
        assert "asked" not in self.done
        while self.waiting:
            self.waiting.pop()()

    def _enter(self, *_: object) -> None:
        self.done.append("asked")
        self.while_asked()
        if self.refuses:
            raise TooMany

    def _leave(self, *_: object) -> None:
        self.done.append("left")

    def _accept(self) -> None:
        self.done.append("accepted")
        assert self.door.take("e") == (ANN, 1)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def test_nobody_else_waits_while_redis_is_asked_also_about_a_token_that_is_known(scene: Scene) -> None:
    for _ in range(2):
        scene.knock()
        assert scene.done == ["asked", "accepted"]
        scene.done.clear()


def test_whoever_has_gone_while_redis_was_asked_is_not_counted(scene: Scene) -> None:
    scene.while_asked = scene.server.environ.clear
    scene.knock()
    assert scene.done == ["asked", "left"]
    assert scene.door.take("e")[0].kind == "nobody"


def test_whoever_is_refused_is_not_let_in(scene: Scene) -> None:
    scene.refuses = True
    scene.knock()
    assert scene.done == ["asked", "refused"]
