"""How the web process listens."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from swallowtail.app import wsgi
from swallowtail.app.core.config.settings import load_settings
from swallowtail.app.web.serving.listener import listen, reserve
from tests.harness.settings import make_settings


def test_accepted_connections_send_small_messages_at_once() -> None:
    with listen(make_settings(port=0), shared=False) as listener:
        assert listener.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
        with socket.create_connection(listener.getsockname()) as client:
            accepted, _ = listener.accept()
            with accepted:
                assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert client


def test_an_address_is_kept_for_those_who_share_it_and_for_nobody_else() -> None:
    with reserve(make_settings(port=0)) as keeper:
        settings = make_settings(port=keeper.getsockname()[1])
        with socket.socket() as nobody:
            assert nobody.connect_ex(keeper.getsockname()) != 0
        with listen(settings, shared=True), listen(settings, shared=True):
            for take in (reserve, lambda settings: listen(settings, shared=False)):
                with pytest.raises(OSError, match="in use"):
                    take(settings)


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
    assert wsgi._peek("SWALLOWTAIL_ASYNC_MODE", "eventlet") == mode == load_settings().async_mode
