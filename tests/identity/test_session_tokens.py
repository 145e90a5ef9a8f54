"""Access tokens of a session: too early, valid, expired, revoked, forged, and signed with a key that was replaced."""

from __future__ import annotations

import base64
import json
from datetime import timedelta

import pytest
import time_machine
from sqlalchemy import update

from swallowtail.app.core.identity.sessions import close_session, refresh
from swallowtail.app.core.tables.auth import User
from tests.harness.identity.signed_tokens import sign_token
from tests.identity.bench import KEY, Bench
from tests.identity.conftest import START, NewBench
from tests.identity.token_checks import EXPIRED, NOT_YET, REVOKED, UNUSABLE, claims_of, forge, header_of, refused

pytestmark = pytest.mark.usefixtures("clock")


def test_an_access_token_has_its_user_its_audience_and_its_expiry(bench: Bench) -> None:
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
    assert claims["jti"] != claims_of(refresh(bench.rt, bench.tokens, signed_in.session_token).access_token)["jti"]
    assert bench.tokens.read(signed_in.access_token) == signed_in.actor
    assert signed_in.actor.expires_at == START + timedelta(minutes=15)


def test_an_access_token_is_valid_until_its_expiry_and_the_leeway_after_it(
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


def test_a_token_of_a_clock_that_is_ahead_is_valid_within_the_leeway_only(
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
    present, closed = bench.sign_in(), bench.sign_in()
    close_session(bench.by(closed.actor), closed.session_id)
    close_session(bench.by(closed.actor), closed.session_id)
    refused(bench, closed.access_token, REVOKED)
    assert bench.tokens.read(present.access_token).token_id == present.session_id
    assert bench.tokens.find_ended([present.actor, closed.actor]) == {closed.actor: "revoked"}
    assert bench.audit()[-1] == ("ann", "session.close")


def test_raising_the_generation_voids_earlier_tokens(bench: Bench) -> None:
    before = bench.sign_in()
    with bench.rt.db.write() as session:
        session.execute(update(User).values(generation=2))
    refused(bench, before.access_token, REVOKED)
    assert bench.tokens.read(bench.sign_in().access_token).name == "ann"


def test_a_demoted_superuser_is_an_ordinary_user_at_the_next_request(bench: Bench) -> None:
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
    third = new_bench(secret_key="n" * 32)
    assert third.tokens.read(new).name == "ann"
    refused(third, old, UNUSABLE)


def test_a_foreign_signature_is_refused_with_any_claims(bench: Bench) -> None:
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
def test_an_invalid_token_is_refused(bench: Bench, text: str) -> None:
    refused(bench, text, UNUSABLE)
