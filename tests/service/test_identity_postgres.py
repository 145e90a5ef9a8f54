"""Users, sessions and tokens on PostgreSQL, where statements and locking could differ from SQLite."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from swallowtail.app.core.errors import Conflict, SwallowtailError, Unauthenticated
from swallowtail.app.core.events import now
from swallowtail.app.core.identity import api_tokens, user_passwords, users
from swallowtail.app.core.identity.sessions import refresh
from swallowtail.app.core.maintenance.token_cleanup import delete_ended_tokens
from swallowtail.app.core.schemas.identities import NewToken
from swallowtail.app.core.security.actors import ANONYMOUS, Actor
from swallowtail.app.core.tables.auth import AccessToken
from tests.identity.bench import PASSWORD, Bench

pytestmark = pytest.mark.service

NEW = "staple after staple"


@pytest.fixture
def bench(postgres: str, tmp_path: Path) -> Iterator[Bench]:
    """A bench on PostgreSQL, with the user `ann` and the superuser `root`."""
    bench = Bench(tmp_path, database_url=postgres)
    bench.add("ann")
    bench.add("root", is_superuser=True)
    yield bench
    bench.close()


def race(*actions: Callable[[], object]) -> list[str]:
    """Run several actions at the same time; return `done` or the error code of each."""

    def do(action: Callable[[], object]) -> str:
        try:
            action()
        except SwallowtailError as refused:
            return refused.code
        return "done"

    with ThreadPoolExecutor(len(actions)) as pool:
        return sorted(pool.map(do, actions))


def test_one_of_several_users_created_at_once_with_the_same_name_succeeds(bench: Bench) -> None:
    outcomes = race(*[lambda: users.create_user(bench.rt, "bob", PASSWORD)] * 4)
    assert outcomes == ["conflict", "conflict", "conflict", "done"]
    assert [user["name"] for user in users.list_users(bench.rt, limit=10)[0]] == ["ann", "bob", "root"]


def test_two_superusers_who_demote_each_other_leave_one(bench: Bench) -> None:
    bench.add("boss", is_superuser=True)
    outcomes = race(
        lambda: users.set_superuser(bench.rt, "root", is_superuser=False),
        lambda: users.set_superuser(bench.rt, "boss", is_superuser=False),
    )
    assert outcomes == ["conflict", "done"]
    assert bench.user("root").is_superuser is not bench.user("boss").is_superuser


def test_a_new_password_ends_earlier_sessions_and_tokens(bench: Bench) -> None:
    signed_in = bench.sign_in()
    personal = api_tokens.issue_personal(bench.by(signed_in.actor), NewToken(name="script"))
    actors = [signed_in.actor, bench.tokens.read(personal["secret"]), bench.sign_in("root").actor]
    assert bench.tokens.find_ended(actors) == {}
    generation = bench.user().generation

    user_passwords.set_password(bench.rt, "ann", NEW)

    assert bench.user().generation == generation + 1
    assert bench.tokens.find_ended(actors) == {actors[0]: "revoked", actors[1]: "revoked"}
    for token in (signed_in.access_token, personal["secret"]):
        with pytest.raises(Unauthenticated):
            bench.tokens.read(token)
    assert bench.sign_in("ann", NEW).actor.name == "ann"


def test_a_session_token_is_valid_once_also_for_two_concurrent_uses(bench: Bench) -> None:
    secret = bench.sign_in().session_token
    outcomes = race(*[lambda: refresh(bench.by(ANONYMOUS), bench.tokens, secret)] * 2)
    assert outcomes == ["done", "unauthenticated"]
    assert bench.audit()[-1][1] == "session.replay"


def test_more_tokens_than_one_query_can_name_are_checked_together(bench: Bench) -> None:
    user_id = bench.user().id
    ids = [f"token-{number}" for number in range(1203)]
    with bench.rt.db.write() as session:
        for number, token_id in enumerate(ids):
            revoked = now() if number % 400 == 0 else None
            row = AccessToken(id=token_id, kind="personal", user_id=user_id, created_at=now(), revoked_at=revoked)
            session.add(row)
    actors = [Actor("user", user_id, "ann", user_id=user_id, token_id=token_id) for token_id in ids]
    assert bench.tokens.find_ended(actors) == {actors[number]: "revoked" for number in (0, 400, 800, 1200)}


def test_tokens_that_ended_long_ago_are_deleted(bench: Bench) -> None:
    user_id = bench.user().id
    long_ago = now() - timedelta(days=31)
    with bench.rt.db.write() as session:
        for name, moments in {"a": {"expires_at": long_ago}, "b": {"revoked_at": long_ago}, "c": {}}.items():
            session.add(AccessToken(id=name, kind="personal", user_id=user_id, created_at=now(), **moments))
    assert delete_ended_tokens(bench.rt, lambda: True) == 2
    with bench.rt.db.read() as session:
        assert session.get(AccessToken, "c") is not None


def test_a_name_that_is_taken_is_a_conflict(bench: Bench) -> None:
    with pytest.raises(Conflict):
        users.create_user(bench.rt, "ANN", PASSWORD)
