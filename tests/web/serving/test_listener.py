"""Listening sockets of web processes, and the mode that is read before the settings."""

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


def test_a_reserved_address_can_be_shared_by_processes_that_agree_and_by_no_other() -> None:
    with reserve(make_settings(port=0)) as reserved:
        settings = make_settings(port=reserved.getsockname()[1])
        with socket.socket() as client:
            assert client.connect_ex(reserved.getsockname()) != 0
        with listen(settings, shared=True), listen(settings, shared=True):
            for open_socket in (reserve, lambda settings: listen(settings, shared=False)):
                with pytest.raises(OSError, match="in use"):
                    open_socket(settings)


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
def test_the_mode_is_read_from_the_same_sources_as_all_settings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, environment: dict[str, str], file: str, mode: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text(file)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert wsgi._read_setting("SWALLOWTAIL_ASYNC_MODE", "eventlet") == mode == load_settings().async_mode
