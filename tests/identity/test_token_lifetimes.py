"""Personal tokens and API tokens are valid until they expire or are revoked, and their last use is recorded."""

from __future__ import annotations

import base64
from datetime import datetime, timedelta
from typing import Any

import pytest
import time_machine
from sqlalchemy import event, update
from sqlalchemy.exc import OperationalError

from swallowtail.app.core.identity.api_tokens import issue_front_end, issue_personal, revoke_own
from swallowtail.app.core.identity.sessions import close_session
from swallowtail.app.core.schemas.identities import NewFrontEndToken, NewToken
from swallowtail.app.core.security import token_uses
from swallowtail.app.core.security.actors import OPEN, SYSTEM, Actor
from swallowtail.app.core.security.roles import Act
from swallowtail.app.core.security.token_uses import TokenUses
from swallowtail.app.core.tables.auth import AccessToken, User
from tests.harness.identity.signed_tokens import sign_token
from tests.identity.bench import KEY, Bench
from tests.identity.conftest import START
from tests.identity.token_checks import EXPIRED, REVOKED, UNUSABLE, forge, refused

pytestmark = pytest.mark.usefixtures("clock")


def test_a_personal_token_is_a_secret_of_which_only_the_hash_is_kept(bench: Bench) -> None:
    signed_in = bench.sign_in()
    issued = issue_personal(bench.by(signed_in.actor), NewToken(name="ci", lifetime=3600))
    prefix, _, secret = issued["secret"].split("_", 2)
    assert (prefix, len(base64.urlsafe_b64decode(secret + "="))) == ("swt", 32)
    with bench.rt.db.read() as session:
        row = session.get(AccessToken, issued["token"]["id"])
        assert row is not None
        assert secret not in str({column.name: getattr(row, column.name) for column in AccessToken.__table__.columns})
    actor = bench.tokens.read(issued["secret"])
    assert (actor.kind, actor.name, actor.acts, actor.expires_at) == ("user", "ann", None, START + timedelta(hours=1))
    refused(bench, issued["secret"][:-1] + ("A" if issued["secret"][-1] != "A" else "B"), UNUSABLE)
    refused(bench, issued["secret"].replace("swt_", "sws_"), UNUSABLE)


def test_a_personal_token_ends_when_it_expires_and_when_it_is_revoked(
    bench: Bench, clock: time_machine.Traveller
) -> None:
    rt = bench.by(bench.sign_in().actor)
    brief, revoked = (issue_personal(rt, NewToken(name=name, lifetime=60)) for name in ("brief", "revoked"))
    actors = {issued["token"]["name"]: bench.tokens.read(issued["secret"]) for issued in (brief, revoked)}
    revoke_own(rt, revoked["token"]["id"])
    refused(bench, revoked["secret"], REVOKED)
    assert bench.tokens.find_ended(actors.values()) == {actors["revoked"]: "revoked"}
    clock.move_to(START + timedelta(seconds=59))
    assert bench.tokens.read(brief["secret"]).name == "ann"
    clock.move_to(START + timedelta(seconds=60))
    refused(bench, brief["secret"], EXPIRED)
    assert bench.tokens.find_ended([actors["brief"]]) == {actors["brief"]: "expired"}


def test_when_a_personal_token_was_last_used_is_noted_once_a_minute(
    bench: Bench, clock: time_machine.Traveller
) -> None:
    issued = issue_personal(bench.by(bench.sign_in().actor), NewToken(name="ci"))

    def used() -> datetime | None:
        with bench.rt.db.read() as session:
            row = session.get(AccessToken, issued["token"]["id"])
            return row.last_used_at if row else None

    noted = []
    for seconds in (0, 30, 59, 60, 119, 121):
        clock.move_to(START + timedelta(seconds=seconds))
        bench.tokens.read(issued["secret"])
        bench.rt.store_token_uses()
        noted.append(used())
    minutes = [START + timedelta(seconds=seconds) for seconds in (0, 0, 0, 60, 60, 121)]
    assert noted == minutes


def test_a_token_is_read_while_the_database_is_locked_for_writing(bench: Bench) -> None:
    issued = issue_personal(bench.by(bench.sign_in().actor), NewToken(name="ci"))
    with bench.rt.db.write() as session:
        session.execute(update(User).values(generation=1))
        assert bench.tokens.read(issued["secret"]).name == "ann"


def test_a_front_end_is_authenticated_by_its_token_until_it_expires(
    bench: Bench, clock: time_machine.Traveller
) -> None:
    new = NewFrontEndToken(name="page", fields=["status"], lifetime=60)
    issued = issue_front_end(bench.by(Actor("open", "o", "o")), bench.tokens, "mine", new)
    actor = bench.tokens.read(issued["secret"])
    assert actor == Actor(
        "front_end",
        issued["token"]["id"],
        "page",
        token_id=issued["token"]["id"],
        acts=frozenset({Act.READ}),
        instance_id="mine",
        fields=frozenset({"status"}),
        expires_at=START + timedelta(seconds=60),
    )
    refused(bench, forge(issued["secret"], header={"typ": "at+jwt"}), UNUSABLE)
    clock.move_to(START + timedelta(seconds=71))
    refused(bench, issued["secret"], EXPIRED)


def test_many_connections_are_checked_with_two_queries(bench: Bench) -> None:
    actors = [bench.sign_in().actor for _ in range(20)]
    close_session(bench.rt, actors[3].token_id or "")
    asked: list[str] = []
    event.listen(bench.rt.db.engine, "before_cursor_execute", lambda *a: asked.append(a[2]))
    assert bench.tokens.find_ended([OPEN, SYSTEM, *actors]) == {actors[3]: "revoked"}
    assert len([text for text in asked if text.startswith("SELECT")]) == 2
    assert bench.tokens.find_ended([]) == {}


def test_an_expired_token_is_recognized_and_other_texts_are_not(bench: Bench, clock: time_machine.Traveller) -> None:
    token = bench.sign_in().access_token
    secret = issue_personal(bench.by(bench.tokens.read(token)), NewToken(name="ci"))["secret"]
    clock.shift(timedelta(days=900))
    assert [bench.tokens.is_recognized(one) for one in (token, secret, f"{secret}x")] == [True] * 3
    foreign = sign_token({"sub": "ann"}, KEY, headers={})
    assert [bench.tokens.is_recognized(one) for one in ("123", "", foreign, None, 5, "ä" * 9)] == [False] * 6


def make_tokens(bench: Bench, count: int) -> dict[str, str]:
    """Return secrets of new personal tokens by id."""
    context = bench.by(bench.sign_in().actor)
    issued = [issue_personal(context, NewToken(name=f"token {number}")) for number in range(count)]
    return {each["token"]["id"]: each["secret"] for each in issued}


def read_uses(bench: Bench) -> dict[str, object]:
    """Return when the personal tokens were last used."""
    with bench.rt.db.read() as session:
        return {row.id: row.last_used_at for row in session.query(AccessToken).filter_by(kind="personal")}


def test_all_uses_are_stored_in_one_transaction(bench: Bench) -> None:
    tokens = make_tokens(bench, 3)
    begun: list[Any] = []
    event.listen(bench.rt.db.engine, "begin", begun.append)
    for _ in range(2):
        for secret in tokens.values():
            bench.tokens.read(secret)
    assert len(begun) == 6, "only the reads"
    bench.rt.store_token_uses()
    bench.rt.store_token_uses()
    assert len(begun) == 7
    assert read_uses(bench) == dict.fromkeys(tokens, START)


def test_uses_wait_while_the_database_is_locked_for_writing(bench: Bench) -> None:
    tokens = make_tokens(bench, 1)
    bench.tokens.read(*tokens.values())
    with bench.rt.db.write():
        bench.rt.store_token_uses()
    assert read_uses(bench) == dict.fromkeys(tokens)
    bench.rt.store_token_uses()
    assert read_uses(bench) == dict.fromkeys(tokens, START)


def test_a_later_use_that_another_process_stored_stays(bench: Bench) -> None:
    tokens, later = make_tokens(bench, 1), START + timedelta(seconds=1)
    bench.tokens.read(*tokens.values())
    with bench.rt.db.write() as session:
        session.execute(update(AccessToken).values(last_used_at=later))
    bench.rt.store_token_uses()
    assert read_uses(bench) == dict.fromkeys(tokens, later)


def test_a_failed_transaction_loses_only_the_note(bench: Bench) -> None:
    tokens = make_tokens(bench, 1)

    def fail(*_: object) -> None:
        raise OperationalError("COMMIT", {}, Exception("disk I/O error"))

    bench.tokens.read(*tokens.values())
    event.listen(bench.rt.db.engine, "commit", fail)
    bench.rt.store_token_uses()
    event.remove(bench.rt.db.engine, "commit", fail)
    bench.tokens.read(*tokens.values())
    bench.rt.store_token_uses()
    assert read_uses(bench) == dict.fromkeys(tokens, START)


def test_no_more_than_a_fixed_number_of_tokens_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_uses, "MOST", 2)
    uses = TokenUses()
    for token_id in "abca":
        uses.note(token_id, START)
    assert sorted(uses._waiting) == ["a", "b"]
