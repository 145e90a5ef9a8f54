"""Passwords are stored as argon2id and hashed again after a change of parameters; unknown users look the same."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from swallowtail.app.core.errors import InvalidInput, TooFast
from swallowtail.app.core.security.passwords import Passwords
from tests.harness.settings import make_settings
from tests.identity.bench import CHEAP, PASSWORD


@pytest.fixture
def passwords() -> Passwords:
    return Passwords(make_settings(**CHEAP))


def test_a_password_is_stored_as_argon2id_and_verified(passwords: Passwords) -> None:
    digest = passwords.hash(PASSWORD)
    assert digest.startswith("$argon2id$v=19$m=8,t=1,p=1$")
    assert PASSWORD not in digest
    assert passwords.verify(digest, PASSWORD)
    assert not passwords.verify(digest, PASSWORD + "!")
    assert passwords.hash(PASSWORD) != digest


def test_a_password_typed_with_other_code_points_is_the_same(passwords: Passwords) -> None:
    assert passwords.verify(passwords.hash("Zoe\u0308 and the \ufb01sh"), "Zo\u00eb and the fish")


@pytest.mark.parametrize("text", ["short", "x" * 11, "x" * 257, 12345678901234, None, "lone surrogate \ud800"])
def test_a_password_of_the_wrong_length_or_kind_cannot_be_set(passwords: Passwords, text: object) -> None:
    with pytest.raises(InvalidInput) as refused:
        passwords.check(text)
    assert refused.value.field == "password"


def test_an_unknown_user_costs_the_same_work_as_a_wrong_password(passwords: Passwords) -> None:
    worked: list[str] = []

    def note(work: Any, /, *arguments: Any) -> Any:
        worked.append(arguments[0])
        return work(*arguments)

    digest = passwords.hash(PASSWORD)
    passwords.verify(None, "warm up")
    passwords._offload = note
    attempts = [(digest, "wrong password"), (None, PASSWORD), (None, ""), (digest, "x" * 5000), (digest, "\ud800")]
    for known, text in attempts:
        assert not passwords.verify(known, text)
    assert [hashed.split("$")[3] for hashed in worked] == ["m=8,t=1,p=1"] * 5


def test_an_invalid_hash_matches_no_password(passwords: Passwords) -> None:
    assert not passwords.verify("not a hash", PASSWORD)
    assert not passwords.verify("", "")


def test_a_hash_of_other_parameters_is_outdated(passwords: Passwords) -> None:
    digest = passwords.hash(PASSWORD)
    assert not passwords.is_outdated(digest)
    stronger = Passwords(make_settings(password_memory_kib=16, password_rounds=2))
    assert stronger.is_outdated(digest)
    assert stronger.verify(digest, PASSWORD)


def test_the_number_of_concurrent_checks_is_limited_and_the_rest_are_refused_for_now(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("swallowtail.app.core.security.passwords._LONGEST_WAIT", 0.05)
    passwords = Passwords(make_settings(password_checks=1, **CHEAP))
    digest = passwords.hash(PASSWORD)
    passwords.verify(digest, PASSWORD)
    busy, go_on = threading.Event(), threading.Event()

    def hold(work: Any, /, *arguments: Any) -> Any:
        busy.set()
        assert go_on.wait(20)
        return work(*arguments)

    passwords._offload = hold
    first = threading.Thread(target=passwords.verify, args=(digest, PASSWORD))
    first.start()
    assert busy.wait(20)
    with pytest.raises(TooFast) as refused:
        passwords.verify(digest, PASSWORD)
    assert refused.value.retry_after > 0
    go_on.set()
    first.join(20)
    assert passwords.verify(digest, PASSWORD)
