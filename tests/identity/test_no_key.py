"""With a provider and no signing key, requests that need the key are refused, by name, and change nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from swallowtail.app.core.errors import NotFound, NotSetUp, Unauthenticated
from swallowtail.app.core.identity import api_tokens
from swallowtail.app.core.identity.authenticate import Tokens
from swallowtail.app.core.identity.sessions import open_session, refresh
from swallowtail.app.core.identity.users import user_actor
from swallowtail.app.core.schemas.identities import NewFrontEndToken, NewToken
from swallowtail.app.core.security.actors import ANONYMOUS
from swallowtail.app.core.security.signing_keys import SigningKeys
from tests.identity.bench import PASSWORD, PROVIDER, Bench
from tests.identity.conftest import NewBench


@pytest.fixture
def keyless(new_bench: NewBench, tmp_path: Path) -> Bench:
    """Return a bench of a distributed deployment: its database has an address, and it has no key."""
    url = f"sqlite:///{tmp_path / 'elsewhere.db'}"
    bench = new_bench(secret_key="", database_url=url, **PROVIDER)
    bench.add("ann")
    return bench


def test_it_starts_without_a_key_because_the_provider_has_one(keyless: Bench) -> None:
    SigningKeys(keyless.rt.settings).check()


def test_a_token_that_was_signed_elsewhere_is_refused(keyless: Bench, new_bench: NewBench) -> None:
    elsewhere = new_bench()
    elsewhere.add("bob")
    with pytest.raises(Unauthenticated):
        keyless.tokens.read(elsewhere.sign_in("bob").access_token)


def test_actions_that_need_a_key_are_refused_and_nothing_is_stored(keyless: Bench) -> None:
    ann = keyless.user()
    before = keyless.audit(), keyless.audit("mine")
    tries: list[Callable[[], object]] = [
        lambda: keyless.sign_in("ann", PASSWORD),
        lambda: keyless.sign_in("nobody", PASSWORD),
        lambda: open_session(keyless.rt, keyless.tokens, ann),
        lambda: refresh(keyless.rt, keyless.tokens, "sws_x"),
        lambda: api_tokens.issue_front_end(keyless.rt, keyless.tokens, "mine", NewFrontEndToken(name="page")),
    ]
    for attempt in tries:
        with pytest.raises(NotSetUp, match="SWALLOWTAIL_SECRET_KEY"):
            attempt()
    assert (keyless.audit(), keyless.audit("mine")) == before


def test_personal_tokens_work_all_the_same(keyless: Bench) -> None:
    issued = api_tokens.issue_personal(keyless.by(user_actor(keyless.user())), NewToken(name="script"))
    assert Tokens(keyless.rt).read(issued["secret"]).name == "ann"


def test_the_permission_is_checked_before_the_key(keyless: Bench) -> None:
    """Order of checks: callers without the permission got the message that there is no key."""
    for actor, refusal in ((ANONYMOUS, Unauthenticated), (user_actor(keyless.user()), NotFound)):
        with pytest.raises(refusal):
            api_tokens.issue_front_end(keyless.by(actor), keyless.tokens, "mine", NewFrontEndToken(name="page"))
