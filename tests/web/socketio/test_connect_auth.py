"""A Socket.IO client is counted while it is connected, and not longer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from swallowtail.app.core.errors import TooMany
from swallowtail.app.core.security.actors import Actor
from swallowtail.app.web.socketio.connect_auth import ClientTokens, ConnectAuth
from tests.harness.settings import make_settings

ANN = Actor("user", "u1", "ann", user_id="u1")


class Scene:
    """One session that connects, and the calls that the server made for it."""

    def __init__(self, var: Path) -> None:
        self.done: list[str] = []
        self.waiting: list[Callable[[], None]] = []
        self.refuses = False
        self.while_asking: Callable[[], None] = lambda: None
        self.environs = {"e": {"REMOTE_ADDR": "192.0.2.1"}}
        settings: Any = make_settings(var_dir=var, auth="required", secret_key="k" * 40)
        tokens: Any = SimpleNamespace(read=lambda token: ANN, is_recognized=lambda token: True)
        permissions: Any = SimpleNamespace(version=1)
        parts: dict[str, Any] = {
            "sessions": SimpleNamespace(
                environ=lambda eio_sid: self.environs.get(eio_sid, {}),
                find_address=lambda eio_sid: "192.0.2.1",
                accept=self._accept,
                refuse=lambda *_: self.done.append("refused"),
            ),
            "tokens": ClientTokens(settings, tokens, permissions),
            "transport": SimpleNamespace(defer_session=lambda eio_sid, work: self.waiting.append(work)),
            "limits": SimpleNamespace(
                needs_redis=lambda *_: True, acquire_connection=self._acquire, release_connection=self._release
            ),
            "denied_requests": SimpleNamespace(),
            "on_accepted": lambda *accepted: self.accepted.append(accepted),
        }
        self.accepted: list[tuple[str, Actor, int]] = []
        self.auth = ConnectAuth(*parts.values())

    def connect(self) -> None:
        """Connect, and run the deferred work."""
        self.auth.authenticate("e", {"token": "t"})
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

    def _accept(self, eio_sid: str) -> str:
        self.done.append("accepted")
        return f"client of {eio_sid}"


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def test_the_event_loop_does_not_wait_for_redis_even_with_a_known_token(scene: Scene) -> None:
    for _ in range(2):
        scene.connect()
        assert scene.done == ["asked", "accepted"]
        assert scene.accepted == [("client of e", ANN, 1)]
        scene.done.clear()
        scene.accepted.clear()


def test_a_client_that_disconnects_while_redis_is_asked_is_not_counted(scene: Scene) -> None:
    scene.while_asking = scene.environs.clear
    scene.connect()
    assert (scene.done, scene.accepted) == (["asked", "released"], [])


def test_a_refused_client_is_not_accepted(scene: Scene) -> None:
    scene.refuses = True
    scene.connect()
    assert scene.done == ["asked", "refused"]
