"""Under strict delivery the message queue takes what our processes have signed, and emits of names that were set."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.errors import SettingsError
from swallowtail.app.core.security.message_signing import Voucher
from swallowtail.app.web.socketio.client_manager import OURS, RESERVED, ClientManager
from tests.harness.settings import make_settings

KEY, OTHER = "k" * 40, "o" * 40
CHANNEL = "flask-socketio"
EMIT = {"method": "emit", "event": "note", "data": [1], "namespace": "/", "room": "instance_a"}


def strict_settings(**more: Any) -> Settings:
    given = {"strict_delivery": True, "secret_key": KEY, "foreign_events": "note, tick", **more}
    return make_settings(**given)


def sign(message: Any, key: str = KEY, channel: str = CHANNEL) -> bytes:
    voucher = Voucher(strict_settings(secret_key=key), is_strict=True)
    return voucher.wrap(channel, json.dumps(message).encode())


def test_an_emit_of_a_name_that_was_set_is_taken_without_its_callback() -> None:
    queue = ClientManager(strict_settings())
    told = {**EMIT, "callback": ["instance_a", "/", 1], "host_id": "elsewhere", "more": "x"}
    assert queue.admit(json.dumps(told).encode()) == {**EMIT, "host_id": "elsewhere"}


@pytest.mark.parametrize(
    "message",
    [
        *({**EMIT, "event": name} for name in (*sorted(OURS | RESERVED), "other", "", None, ["note"], {"note": 1})),
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
def test_nothing_else_that_is_not_signed_is_taken(message: Any) -> None:
    assert ClientManager(strict_settings()).admit(json.dumps(message).encode()) is None


@pytest.mark.parametrize("heard", [b"", b"~", b"\xff", b"{", b"[" * 5000, b"~" + b"0" * 64 + b"{}"], ids=repr)
def test_what_cannot_be_read_is_not_taken(heard: bytes) -> None:
    assert ClientManager(strict_settings()).admit(heard) is None


def test_what_one_of_ours_has_signed_is_taken_and_what_others_have_is_not() -> None:
    queue = ClientManager(strict_settings())
    away = {"method": "disconnect", "sid": "s", "namespace": "/"}
    assert json.loads(queue.admit(sign(away))) == away
    assert (
        json.loads(ClientManager(strict_settings(secret_key=OTHER, secret_key_previous=KEY)).admit(sign(away))) == away
    )
    for forged in (sign(away, OTHER), sign(away, channel="another"), sign(away).replace(b'"s"', b'"t"')):
        assert queue.admit(forged) is None


def test_with_no_names_nobody_else_emits() -> None:
    assert ClientManager(strict_settings(foreign_events="")).admit(json.dumps(EMIT).encode()) is None


def test_without_strict_delivery_everything_is_taken_signed_or_not() -> None:
    queue = ClientManager(strict_settings(strict_delivery=False))
    for message in (EMIT, {"method": "disconnect", "sid": "s"}):
        bare = json.dumps(message).encode()
        assert queue.admit(bare) == bare
        assert json.loads(queue.admit(sign(message))) == message


@pytest.mark.parametrize("name", sorted(OURS | RESERVED))
def test_a_name_of_ours_cannot_be_set(name: str) -> None:
    with pytest.raises(SettingsError, match=f"nobody else may emit {name}") as refused:
        ClientManager(strict_settings(foreign_events=f"note,{name}"))
    assert refused.value.field == "SWALLOWTAIL_FOREIGN_EVENTS"


def test_a_key_that_is_needed_and_missing_is_named(tmp_path: Path) -> None:
    given = {"var_dir": tmp_path, "secret_key": "", "database_url": "postgresql://db.example/x"}
    with pytest.raises(SettingsError, match="SWALLOWTAIL_SECRET_KEY"):
        ClientManager(strict_settings(**given))
