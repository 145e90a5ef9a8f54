"""How the web process listens."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from app import wsgi
from app.core.settings import Settings


def test_accepted_connections_send_small_messages_at_once() -> None:
    with wsgi._listen(Settings(_env_file=None, port=0)) as listener:
        assert listener.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
        with socket.create_connection(listener.getsockname()) as client:
            accepted, _ = listener.accept()
            with accepted:
                assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert client


@pytest.mark.parametrize(
    ("environment", "file", "mode"),
    [
        ({}, "", "eventlet"),
        ({"SWALLOWTAIL_ASYNC_MODE": "gevent"}, "", "gevent"),
        ({"swallowtail_async_mode": "gevent"}, "", "gevent"),
        ({}, "SWALLOWTAIL_ASYNC_MODE=threading\n", "threading"),
        ({}, "swallowtail_async_mode='threading' # why\n", "threading"),
        ({"SWALLOWTAIL_ASYNC_MODE": "gevent"}, "SWALLOWTAIL_ASYNC_MODE=threading\n", "gevent"),
    ],
)
def test_the_mode_is_read_as_all_settings_are(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, environment: dict[str, str], file: str, mode: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text(file)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert wsgi._peek_mode() == mode == Settings().async_mode
