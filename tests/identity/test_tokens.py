"""The life of our own tokens: too early, good, expired, revoked, voided, and signed with a key that was replaced."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from sqlalchemy import event, update

from swallowtail.app.core.errors import Unauthenticated
from swallowtail.app.core.identity.api_tokens import issue_front_end, issue_personal, revoke_own
from swallowtail.app.core.identity.sessions import close_session, refresh
from swallowtail.app.core.schemas.identities import NewFrontEndToken, NewToken
from swallowtail.app.core.security.actors import OPEN, SYSTEM, Actor
from swallowtail.app.core.security.roles import Act
from swallowtail.app.core.tables.auth import AccessToken, User
from tests.harness.signed_tokens import read_part, sign_token
from tests.identity.bench import KEY, Bench
from tests.identity.conftest import NewBench

START = datetime(2026, 6, 1, 8, 0, tzinfo=UTC)
EXPIRED, NOT_YET, REVOKED = "has expired", "not valid yet", "was revoked"
UNUSABLE = "not a token that is accepted here"


@pytest.fixture(autouse=True)
def clock() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(START, tick=False) as traveller:
        yield traveller


def refused(bench: Bench, token: str, why: str) -> None:
    with pytest.raises(Unauthenticated, match=why):
        bench.tokens.read(token)


def claims_of(token: str) -> dict[str, Any]:
    return read_part(token, 1)


def header_of(token: str) -> dict[str, Any]:
    return read_part(token, 0)


def forge(token: str, *, key: str = KEY, header: dict[str, Any] | None = None, without: str = "", **claims: Any) -> str:
    """The token with other claims, or `without` one, signed with `key`."""
    told = {name: value for name, value in {**claims_of(token), **claims}.items() if name != without}
    return sign_token(told, key, headers={**header_of(token), **(header or {})})


def test_an_access_token_says_whose_it_is_for_whom_and_until_when(bench: Bench) -> None:
    signed_in = bench.sign_in()
    claims = claims_of(signed_in.access_token)
    moment = int(START.timestamp())
    assert {name: claims[name] for name in ("iss", "aud", "iat", "nbf", "exp", "gen")} == {
        "iss": "swallowtail",
        "aud": "swallowtail",
        "iat": moment,
        "nbf": moment,
        "exp": moment + 15 * 60,
        "gen": 1,
    }
    assert (claims["sub"], claims["sid"]) == (bench.user().id, signed_in.session_id)
    assert claims["jti"] != claims_of(refresh(bench.rt, bench.tokens, signed_in.session_secret).access_token)["jti"]
    assert bench.tokens.read(signed_in.access_token) == signed_in.actor
    assert signed_in.actor.expires_at == START + timedelta(minutes=15)


def test_an_access_token_is_good_until_its_end_and_the_leeway_after_it(
    bench: Bench, clock: time_machine.Traveller
) -> None:
    token, actor = bench.sign_in().access_token, bench.sign_in().actor
    for seconds in (0, 899, 909):
        clock.move_to(START + timedelta(seconds=seconds))
        assert bench.tokens.read(token).name == "ann"
        assert bench.tokens.find_ended([actor]) == {}
    clock.move_to(START + timedelta(seconds=910))
    refused(bench, token, EXPIRED)
    assert bench.tokens.find_ended([actor]) == {actor: "expired"}


def test_a_token_of_a_clock_that_is_ahead_is_good_within_the_leeway_only(
    bench: Bench, clock: time_machine.Traveller
) -> None:
    token = bench.sign_in().access_token
    clock.move_to(START - timedelta(seconds=10))
    assert bench.tokens.read(token).name == "ann"
    clock.move_to(START - timedelta(seconds=11))
    refused(bench, token, NOT_YET)


def test_the_leeway_can_be_set_to_nothing(new_bench: NewBench, clock: time_machine.Traveller) -> None:
    bench = new_bench(jwt_leeway=0)
    bench.add()
    token = bench.sign_in().access_token
    clock.move_to(START + timedelta(seconds=900))
    refused(bench, token, EXPIRED)
    clock.move_to(START - timedelta(seconds=1))
    refused(bench, token, NOT_YET)


def test_a_session_that_was_closed_takes_its_tokens_with_it(bench: Bench) -> None:
    kept, closed = bench.sign_in(), bench.sign_in()
    close_session(bench.by(closed.actor), closed.session_id)
    close_session(bench.by(closed.actor), closed.session_id)
    refused(bench, closed.access_token, REVOKED)
    assert bench.tokens.read(kept.access_token).token_id == kept.session_id
    assert bench.tokens.find_ended([kept.actor, closed.actor]) == {closed.actor: "revoked"}
    assert bench.audit()[-1] == ("ann", "session.close")


def test_raising_the_generation_voids_what_was_issued_before(bench: Bench) -> None:
    before = bench.sign_in()
    with bench.rt.db.write() as session:
        session.execute(update(User).values(generation=2))
    refused(bench, before.access_token, REVOKED)
    assert bench.tokens.read(bench.sign_in().access_token).name == "ann"


def test_who_is_no_superuser_any_more_is_none_at_the_next_request(bench: Bench) -> None:
    bench.add("root", is_superuser=True)
    token = bench.sign_in("root").access_token
    assert bench.tokens.read(token).is_superuser
    with bench.rt.db.write() as session:
        session.execute(update(User).values(is_superuser=False))
    assert not bench.tokens.read(token).is_superuser


def test_a_key_that_was_replaced_reads_and_no_longer_signs(bench: Bench, new_bench: NewBench) -> None:
    old = bench.sign_in().access_token
    after = new_bench(secret_key="n" * 32, secret_key_previous=KEY)
    new = after.sign_in().access_token
    assert after.tokens.read(old).name == "ann"
    assert header_of(new)["kid"] != header_of(old)["kid"]
    refused(bench, new, UNUSABLE)
    gone = new_bench(secret_key="n" * 32)
    assert gone.tokens.read(new).name == "ann"
    refused(gone, old, UNUSABLE)


def test_what_we_did_not_sign_is_refused_whatever_it_claims(bench: Bench) -> None:
    token = bench.sign_in().access_token
    head, body, signature = token.split(".")
    bare = base64.urlsafe_b64encode(json.dumps({"alg": "none", "typ": "at+jwt"}).encode()).decode().rstrip("=")
    wrong = [
        forge(token, key="x" * 32),
        forge(token, iss="elsewhere"),
        forge(token, aud="elsewhere"),
        forge(token, aud=["elsewhere"]),
        forge(token, header={"typ": "JWT"}),
        forge(token, header={"typ": "fe+jwt"}),
        forge(token, header={"kid": "../secret.key"}),
        forge(token, header={"crit": ["exp"], "b64": False}),
        forge(token, sub="somebody"),
        forge(token, sid="somebody"),
        forge(token, jti=7),
        *(forge(token, without=name) for name in ("exp", "iat", "nbf", "jti", "iss", "aud", "sid")),
        f"{bare}.{body}.",
        f"{bare}.{body}.{signature}",
        f"{head}.{body}.",
        f"{head}.{body}",
        f"{head}.{body}.{signature[:-4]}AAAA",
        sign_token(claims_of(token), KEY, "HS512", headers={**header_of(token), "alg": "HS512"}),
    ]
    for one in wrong:
        refused(bench, one, UNUSABLE)
    refused(bench, forge(token, without="gen"), REVOKED)
    refused(bench, forge(token, gen="1"), REVOKED)
    assert bench.tokens.read(forge(token)).name == "ann"


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "..",
        "a.b.c",
        "e30.e30.",
        "\u00e9",
        "\ud800",
        "x" * 10_000,
        "swt_",
        "swt_x_y",
        "swt_" + "0" * 32,
        "swt_" + "0" * 32 + "_secret",
        "sws_" + "0" * 32 + "_secret",
        base64.urlsafe_b64encode(b"[" * 5000).decode() + ".e30.e30",
        base64.urlsafe_b64encode(b'{"alg": ' + b"9" * 5000 + b"}").decode() + ".e30.e30",
        base64.urlsafe_b64encode(b"[1]").decode() + ".e30.e30",
        base64.urlsafe_b64encode(b'{"alg":["HS256"]}').decode() + ".e30.e30",
        base64.urlsafe_b64encode(b'{"alg":"HS256","typ":{"a":1},"kid":[]}').decode() + ".e30.e30",
        "swt_0\x00_x",
    ],
    ids=lambda text: ascii(text)[:20],
)
def test_what_is_no_token_is_refused_and_breaks_nothing(bench: Bench, text: str) -> None:
    refused(bench, text, UNUSABLE)


def test_a_personal_token_is_a_secret_of_which_only_the_hash_is_kept(bench: Bench) -> None:
    signed_in = bench.sign_in()
    minted = issue_personal(bench.by(signed_in.actor), NewToken(name="ci", lifetime=3600))
    prefix, _, secret = minted["secret"].split("_", 2)
    assert (prefix, len(base64.urlsafe_b64decode(secret + "="))) == ("swt", 32)
    with bench.rt.db.read() as session:
        row = session.get(AccessToken, minted["token"]["id"])
        assert row is not None
        assert secret not in str({column.name: getattr(row, column.name) for column in AccessToken.__table__.columns})
    actor = bench.tokens.read(minted["secret"])
    assert (actor.kind, actor.name, actor.acts, actor.expires_at) == ("user", "ann", None, START + timedelta(hours=1))
    refused(bench, minted["secret"][:-1] + ("A" if minted["secret"][-1] != "A" else "B"), UNUSABLE)
    refused(bench, minted["secret"].replace("swt_", "sws_"), UNUSABLE)


def test_a_personal_token_ends_when_it_expires_and_when_it_is_revoked(
    bench: Bench, clock: time_machine.Traveller
) -> None:
    rt = bench.by(bench.sign_in().actor)
    brief, revoked = (issue_personal(rt, NewToken(name=name, lifetime=60)) for name in ("brief", "revoked"))
    actors = {minted["token"]["name"]: bench.tokens.read(minted["secret"]) for minted in (brief, revoked)}
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
    minted = issue_personal(bench.by(bench.sign_in().actor), NewToken(name="ci"))

    def used() -> datetime | None:
        with bench.rt.db.read() as session:
            row = session.get(AccessToken, minted["token"]["id"])
            return row.last_used_at if row else None

    noted = []
    for seconds in (0, 30, 59, 60, 119, 121):
        clock.move_to(START + timedelta(seconds=seconds))
        bench.tokens.read(minted["secret"])
        noted.append(used())
    minutes = [START + timedelta(seconds=seconds) for seconds in (0, 0, 0, 60, 60, 121)]
    assert noted == minutes


def test_a_token_is_read_while_the_database_is_locked_for_writing(bench: Bench) -> None:
    minted = issue_personal(bench.by(bench.sign_in().actor), NewToken(name="ci"))
    with bench.rt.db.write() as session:
        session.execute(update(User).values(generation=1))
        assert bench.tokens.read(minted["secret"]).name == "ann"


def test_a_front_end_is_known_by_its_token_and_ends_with_it_or_with_who_minted_it(
    bench: Bench, clock: time_machine.Traveller
) -> None:
    new = NewFrontEndToken(name="page", fields=["status"], lifetime=60)
    minted = issue_front_end(bench.by(Actor("open", "o", "o")), bench.tokens, "mine", new)
    actor = bench.tokens.read(minted["secret"])
    assert actor == Actor(
        "front_end",
        minted["token"]["id"],
        "page",
        token_id=minted["token"]["id"],
        acts=frozenset({Act.READ}),
        instance_id="mine",
        fields=frozenset({"status"}),
        expires_at=START + timedelta(seconds=60),
    )
    refused(bench, forge(minted["secret"], header={"typ": "at+jwt"}), UNUSABLE)
    clock.move_to(START + timedelta(seconds=71))
    refused(bench, minted["secret"], EXPIRED)


def test_many_connections_are_looked_at_with_two_questions(bench: Bench) -> None:
    actors = [bench.sign_in().actor for _ in range(20)]
    close_session(bench.rt, actors[3].token_id or "")
    asked: list[str] = []
    event.listen(bench.rt.db.engine, "before_cursor_execute", lambda *a: asked.append(a[2]))
    assert bench.tokens.find_ended([OPEN, SYSTEM, *actors]) == {actors[3]: "revoked"}
    assert len([text for text in asked if text.startswith("SELECT")]) == 2
    assert bench.tokens.find_ended([]) == {}


def test_what_never_was_a_token_of_anybodys_is_told_apart_from_one_that_is_good_no_longer(
    bench: Bench, clock: time_machine.Traveller
) -> None:
    token = bench.sign_in().access_token
    secret = issue_personal(bench.by(bench.tokens.read(token)), NewToken(name="ci"))["secret"]
    clock.shift(timedelta(days=900))
    assert [bench.tokens.is_of_ours(one) for one in (token, secret, f"{secret}x")] == [True] * 3
    foreign = sign_token({"sub": "ann"}, KEY, headers={})
    assert [bench.tokens.is_of_ours(one) for one in ("123", "", foreign, None, 5, "ä" * 9)] == [False] * 6
