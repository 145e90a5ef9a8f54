"""Under strict delivery the client manager accepts signed messages, and emits of configured names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.errors import SettingsError
from swallowtail.app.core.security.message_signing import MessageSigner
from swallowtail.app.web.engineio.packets import RESERVED
from swallowtail.app.web.socketio.client_manager import SERVER_EVENTS, ClientManager
from tests.harness.settings import make_settings

KEY, OTHER = "k" * 40, "o" * 40
CHANNEL = "flask-socketio"
EMIT = {"method": "emit", "event": "note", "data": [1], "namespace": "/", "room": "instance_a"}


def strict_settings(**more: Any) -> Settings:
    values = {"strict_delivery": True, "secret_key": KEY, "foreign_events": "note, tick", **more}
    return make_settings(**values)


def sign(message: Any, key: str = KEY, channel: str = CHANNEL) -> bytes:
    signer = MessageSigner(strict_settings(secret_key=key), is_strict=True)
    return signer.wrap(channel, json.dumps(message).encode())


def test_an_emit_of_a_configured_name_is_accepted_without_its_callback() -> None:
    manager = ClientManager(strict_settings())
    message = {**EMIT, "callback": ["instance_a", "/", 1], "host_id": "elsewhere", "more": "x"}
    assert manager.verify(json.dumps(message).encode()) == {**EMIT, "host_id": "elsewhere"}


@pytest.mark.parametrize(
    "message",
    [
        *(
            {**EMIT, "event": name}
            for name in (*sorted(SERVER_EVENTS | RESERVED), "other", "", None, ["note"], {"note": 1})
        ),
        *(
            {**EMIT, "method": method, "sid": "s", "id": 1, "args": []}
            for method in ("disconnect", "close_room", "enter_room", "leave_room", "callback", "fly", None, ["emit"])
        ),
        {},
        [],
        [EMIT],
        "note",
        7,
        None,
    ],
    ids=str,
)
def test_no_other_unsigned_message_is_accepted(message: Any) -> None:
    assert ClientManager(strict_settings()).verify(json.dumps(message).encode()) is None


@pytest.mark.parametrize("data", [b"", b"~", b"\xff", b"{", b"[" * 5000, b"~" + b"0" * 64 + b"{}"], ids=repr)
def test_an_unreadable_message_is_not_accepted(data: bytes) -> None:
    assert ClientManager(strict_settings()).verify(data) is None


def test_a_message_is_accepted_with_our_signature_and_no_other() -> None:
    manager = ClientManager(strict_settings())
    disconnect = {"method": "disconnect", "sid": "s", "namespace": "/"}
    assert json.loads(manager.verify(sign(disconnect))) == disconnect
    assert (
        json.loads(ClientManager(strict_settings(secret_key=OTHER, secret_key_previous=KEY)).verify(sign(disconnect)))
        == disconnect
    )
    for forged in (
        sign(disconnect, OTHER),
        sign(disconnect, channel="another"),
        sign(disconnect).replace(b'"s"', b'"t"'),
    ):
        assert manager.verify(forged) is None


def test_without_configured_names_no_other_program_emits() -> None:
    assert ClientManager(strict_settings(foreign_events="")).verify(json.dumps(EMIT).encode()) is None


def test_without_strict_delivery_every_message_is_accepted() -> None:
    manager = ClientManager(strict_settings(strict_delivery=False))
    for message in (EMIT, {"method": "disconnect", "sid": "s"}):
        data = json.dumps(message).encode()
        assert manager.verify(data) == data
        assert json.loads(manager.verify(sign(message))) == message


@pytest.mark.parametrize("name", sorted(SERVER_EVENTS | RESERVED))
def test_a_reserved_name_cannot_be_configured(name: str) -> None:
    with pytest.raises(SettingsError, match=f"{name} is reserved") as refused:
        ClientManager(strict_settings(foreign_events=f"note,{name}"))
    assert refused.value.field == "SWALLOWTAIL_FOREIGN_EVENTS"


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    values = {"var_dir": tmp_path, "secret_key": "", "database_url": "postgresql://db.example/x"}
    with pytest.raises(SettingsError, match="SWALLOWTAIL_SECRET_KEY"):
        ClientManager(strict_settings(**values))
