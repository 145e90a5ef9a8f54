"""A signature is valid for one message in one channel, by the current or the previous key of the deployment."""

from __future__ import annotations

from pathlib import Path

import pytest

from swallowtail.app.core.errors import SettingsError
from swallowtail.app.core.security.message_signing import MessageSigner, wakeup
from tests.harness.settings import make_settings

KEY, OTHER = "k" * 32, "o" * 32


def make(key: str = KEY, previous: str = "", *, strict: bool = True) -> MessageSigner:
    return MessageSigner(make_settings(secret_key=key, secret_key_previous=previous), is_strict=strict)


def test_a_signed_message_arrives_unchanged() -> None:
    sent = make().wrap("channel", b'{"a":1}')
    assert sent.startswith(b"~")
    assert make().unwrap("channel", sent) == b'{"a":1}'
    assert make(OTHER, KEY).unwrap("channel", sent) == b'{"a":1}'


@pytest.mark.parametrize(
    "how", ["bare", "other key", "other channel", "changed", "cut", "no ascii", "signature alone", ""]
)
def test_messages_that_no_process_of_ours_sent_are_dropped(how: str) -> None:
    good = make().wrap("channel", b'{"a":1}')
    forged = {
        "bare": b'{"a":1}',
        "other key": make(OTHER).wrap("channel", b'{"a":1}'),
        "other channel": make().wrap("another", b'{"a":1}'),
        "changed": good.replace(b"1", b"2"),
        "cut": good[:-1],
        "no ascii": b"~" + b"\xff" * 64 + b"{}",
        "signature alone": b"~",
        "": b"",
    }[how]
    assert make().unwrap("channel", forged) is None


def test_without_strict_delivery_nothing_is_refused() -> None:
    loose = make(strict=False)
    assert loose.wrap("channel", b"{}") == b"{}"
    assert loose.unwrap("channel", b"{}") == b"{}"
    # During a rolling restart, some processes sign already.
    assert loose.unwrap("channel", make(OTHER).wrap("channel", b"{}")) == b"{}"


def test_a_key_that_is_needed_and_missing_is_named(tmp_path: Path) -> None:
    settings = make_settings(var_dir=tmp_path, database_url="postgresql://db.example/x")
    MessageSigner(settings, is_strict=False)
    with pytest.raises(SettingsError, match="SWALLOWTAIL_SECRET_KEY"):
        MessageSigner(settings, is_strict=True)


def test_a_wake_up_is_valid_for_its_own_attempt_and_limits() -> None:
    signature = make().sign("run", wakeup("t", 1, "name", (9, 5)))
    assert make().verify("run", wakeup("t", 1, "name", (9, 5)), signature)
    others: list[tuple[str, int, str, tuple[int | None, int | None]]] = [
        ("t", 2, "name", (9, 5)),
        ("u", 1, "name", (9, 5)),
        ("t", 1, "other", (9, 5)),
        ("t", 1, "name", (9, 1)),
        ("t", 1, "name", (1, 5)),
        ("t", 1, "name", (None, None)),
    ]
    assert not any(make().verify("run", wakeup(*other), signature) for other in others)
