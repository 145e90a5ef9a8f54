"""A session continues with a secret that can be used once; an earlier secret ends it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
import time_machine

from swallowtail.app.core.errors import Unauthenticated
from swallowtail.app.core.identity import users
from swallowtail.app.core.identity.api_tokens import (
    issue_personal,
)
from swallowtail.app.core.identity.sessions import open_session, refresh
from swallowtail.app.core.schemas.identities import NewToken
from swallowtail.app.core.security.actors import ANONYMOUS
from tests.identity.bench import Bench
from tests.identity.conftest import START

pytestmark = pytest.mark.usefixtures("clock")


def test_signing_in_begins_a_session_and_writes_it_down_with_the_address(bench: Bench) -> None:
    signed_in = bench.sign_in()
    assert signed_in.session_expires_at == START + timedelta(hours=12)
    assert bench.tokens.read_session(signed_in.session_token).token_id == signed_in.session_id
    assert bench.audit() == [("ann", "session.open")]


def test_session_secrets_and_bearer_tokens_are_not_interchangeable(bench: Bench) -> None:
    signed_in = bench.sign_in()
    with pytest.raises(Unauthenticated):
        bench.tokens.read(signed_in.session_token)
    for other in (
        signed_in.access_token,
        "",
        "sws_x_y",
        issue_personal(bench.by(signed_in.actor), NewToken(name="a"))["secret"],
    ):
        with pytest.raises(Unauthenticated):
            bench.tokens.read_session(other)


def test_a_session_is_refreshed_with_a_new_secret_each_time_until_it_ends(
    bench: Bench, clock: time_machine.Traveller
) -> None:
    signed_in = bench.sign_in()
    for hours in (1, 5, 11.9):
        clock.move_to(START + timedelta(hours=hours))
        following = refresh(bench.rt, bench.tokens, signed_in.session_token)
        assert following.session_id == signed_in.session_id
        assert following.session_token != signed_in.session_token
        assert bench.tokens.read(following.access_token).name == "ann"
        signed_in = following
    # It never expires after its session.
    assert signed_in.expires_at == START + timedelta(hours=12)
    clock.move_to(START + timedelta(hours=12))
    with pytest.raises(Unauthenticated, match="this session has ended"):
        refresh(bench.rt, bench.tokens, signed_in.session_token)


def test_an_old_secret_ends_the_session(bench: Bench) -> None:
    stolen = bench.sign_in()
    renewal = refresh(bench.rt, bench.tokens, stolen.session_token)
    with pytest.raises(Unauthenticated):
        refresh(bench.rt, bench.tokens, stolen.session_token)
    with pytest.raises(Unauthenticated):
        refresh(bench.rt, bench.tokens, renewal.session_token)
    with pytest.raises(Unauthenticated, match="revoked"):
        bench.tokens.read(renewal.access_token)


FORGED = {
    "another secret": lambda secret: secret[:37] + "x" * 43,
    "none": lambda secret: secret[:37],
    "no separator": lambda secret: secret[:36],
    "one letter changed": lambda secret: secret[:-30] + ("A" if secret[-30] != "A" else "B") + secret[-29:],
    "the proof alone": lambda secret: secret[:37] + secret[-22:],
    "an empty proof": lambda secret: secret[:-22],
}


@pytest.mark.parametrize("forge", list(FORGED.values()), ids=list(FORGED))
def test_the_id_of_a_session_alone_cannot_end_it(bench: Bench, forge: Callable[[str], str]) -> None:
    """A secret that was never issued changes nothing, even if parts of it are those of a real one."""
    session = bench.sign_in()
    with pytest.raises(Unauthenticated):
        refresh(bench.rt, bench.tokens, forge(session.session_token))
    assert bench.tokens.read(session.access_token).name == "ann"
    assert refresh(bench.rt, bench.tokens, session.session_token).session_id == session.session_id
    assert bench.audit() == [("ann", "session.open")]


def test_the_secret_of_one_session_proves_nothing_about_another(bench: Bench) -> None:
    session, other = bench.sign_in(), bench.sign_in()
    with pytest.raises(Unauthenticated):
        refresh(bench.rt, bench.tokens, session.session_token[:37] + other.session_token[37:])
    assert bench.tokens.read(session.access_token).name == "ann"


@pytest.mark.parametrize("secret", ["", "sws_", "sws_" + "0" * 32 + "_x", "swt_" + "0" * 32 + "_x", "x" * 9000, "é"])
def test_an_invalid_session_secret_refreshes_nothing(bench: Bench, secret: str) -> None:
    with pytest.raises(Unauthenticated):
        refresh(bench.rt, bench.tokens, secret)


def test_a_user_who_was_disabled_meanwhile_opens_no_session(bench: Bench) -> None:
    ann, signed_in = bench.user(), bench.sign_in()
    users.disable_user(bench.rt, "ann")
    with pytest.raises(Unauthenticated):
        open_session(bench.by(ANONYMOUS), bench.tokens, ann)
    with pytest.raises(Unauthenticated):
        refresh(bench.rt, bench.tokens, signed_in.session_token)
