"""Sessions go on with a secret that is good once; tokens for programs and pages allow no more than their minter."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine

from swallowtail.app.core.errors import Forbidden, InvalidInput, NotFound, SwallowtailError, TooMany, Unauthenticated
from swallowtail.app.core.identity import users
from swallowtail.app.core.identity.api_tokens import (
    issue_front_end,
    issue_personal,
    list_front_ends,
    list_own,
    revoke_front_end,
    revoke_own,
)
from swallowtail.app.core.identity.sessions import open_session, refresh
from swallowtail.app.core.schemas.identities import NewFrontEndToken, NewToken
from swallowtail.app.core.security.actors import ANONYMOUS
from swallowtail.app.core.security.roles import Act, Role
from tests.core.domain import new_task
from tests.identity.bench import Bench
from tests.identity.conftest import NewBench

START = datetime(2026, 6, 1, 8, 0, tzinfo=UTC)
NO_TASK = "00000000-0000-4000-8000-000000000000"


@pytest.fixture(autouse=True)
def clock() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(START, tick=False) as traveller:
        yield traveller


@pytest.fixture
def admin(bench: Bench) -> Bench:
    """The bench, with `adam` an admin of `mine` besides `ann`, who is nothing there."""
    bench.add("adam", role=Role.ADMIN)
    return bench


def test_signing_in_begins_a_session_and_writes_it_down_with_the_address(bench: Bench) -> None:
    signed_in = bench.sign_in()
    assert signed_in.session_expires_at == START + timedelta(hours=12)
    assert bench.tokens.read_session(signed_in.session_secret).token_id == signed_in.session_id
    assert bench.audit() == [("ann", "session.open")]


def test_a_session_secret_is_no_bearer_token_and_a_bearer_token_opens_no_session(bench: Bench) -> None:
    signed_in = bench.sign_in()
    with pytest.raises(Unauthenticated):
        bench.tokens.read(signed_in.session_secret)
    for other in (
        signed_in.access_token,
        "",
        "sws_x_y",
        issue_personal(bench.by(signed_in.actor), NewToken(name="a"))["secret"],
    ):
        with pytest.raises(Unauthenticated):
            bench.tokens.read_session(other)


def test_a_session_goes_on_with_a_new_secret_each_time_until_it_ends(
    bench: Bench, clock: time_machine.Traveller
) -> None:
    signed_in = bench.sign_in()
    for hours in (1, 5, 11.9):
        clock.move_to(START + timedelta(hours=hours))
        following = refresh(bench.rt, bench.tokens, signed_in.session_secret)
        assert following.session_id == signed_in.session_id
        assert following.session_secret != signed_in.session_secret
        assert bench.tokens.read(following.access_token).name == "ann"
        signed_in = following
    # It never lives longer than its session.
    assert signed_in.access_expires_at == START + timedelta(hours=12)
    clock.move_to(START + timedelta(hours=12))
    with pytest.raises(Unauthenticated, match="this session has ended"):
        refresh(bench.rt, bench.tokens, signed_in.session_secret)


def test_who_comes_with_an_old_secret_ends_the_session_for_everybody(bench: Bench) -> None:
    stolen = bench.sign_in()
    mine = refresh(bench.rt, bench.tokens, stolen.session_secret)
    with pytest.raises(Unauthenticated):
        refresh(bench.rt, bench.tokens, stolen.session_secret)
    with pytest.raises(Unauthenticated):
        refresh(bench.rt, bench.tokens, mine.session_secret)
    with pytest.raises(Unauthenticated, match="revoked"):
        bench.tokens.read(mine.access_token)


FORGED = {
    "another secret": lambda secret: secret[:37] + "x" * 43,
    "none": lambda secret: secret[:37],
    "no separator": lambda secret: secret[:36],
    "one letter changed": lambda secret: secret[:-30] + ("A" if secret[-30] != "A" else "B") + secret[-29:],
    "the proof alone": lambda secret: secret[:37] + secret[-22:],
    "an empty proof": lambda secret: secret[:-22],
}


@pytest.mark.parametrize("forge", list(FORGED.values()), ids=list(FORGED))
def test_who_knows_only_the_id_of_a_session_cannot_end_it(bench: Bench, forge: Callable[[str], str]) -> None:
    """The kind: a secret that was never issued changes nothing, however much of a real one it repeats."""
    mine = bench.sign_in()
    with pytest.raises(Unauthenticated):
        refresh(bench.rt, bench.tokens, forge(mine.session_secret))
    assert bench.tokens.read(mine.access_token).name == "ann"
    assert refresh(bench.rt, bench.tokens, mine.session_secret).session_id == mine.session_id
    assert bench.audit() == [("ann", "session.open")]


def test_the_secret_of_one_session_proves_nothing_about_another(bench: Bench) -> None:
    mine, other = bench.sign_in(), bench.sign_in()
    with pytest.raises(Unauthenticated):
        refresh(bench.rt, bench.tokens, mine.session_secret[:37] + other.session_secret[37:])
    assert bench.tokens.read(mine.access_token).name == "ann"


@pytest.mark.parametrize("secret", ["", "sws_", "sws_" + "0" * 32 + "_x", "swt_" + "0" * 32 + "_x", "x" * 9000, "é"])
def test_what_is_no_session_secret_refreshes_nothing(bench: Bench, secret: str) -> None:
    with pytest.raises(Unauthenticated):
        refresh(bench.rt, bench.tokens, secret)


def test_who_was_disabled_since_they_were_known_begins_no_session(bench: Bench) -> None:
    ann, signed_in = bench.user(), bench.sign_in()
    users.disable_user(bench.rt, "ann")
    with pytest.raises(Unauthenticated):
        open_session(bench.by(ANONYMOUS), bench.tokens, ann)
    with pytest.raises(Unauthenticated):
        refresh(bench.rt, bench.tokens, signed_in.session_secret)


def test_personal_tokens_are_listed_and_revoked_by_their_owner_alone(bench: Bench) -> None:
    bench.add("bob")
    ann, bob = bench.by(bench.sign_in().actor), bench.by(bench.sign_in("bob").actor)
    minted = issue_personal(ann, NewToken(name="ci", acts=["task.submit", "instance.read"]))
    assert minted["secret"] not in str(minted["token"])
    assert list_own(ann) == [minted["token"]]
    assert list_own(bob) == []
    with pytest.raises(NotFound):
        revoke_own(bob, minted["token"]["id"])
    revoke_own(ann, minted["token"]["id"])
    revoke_own(ann, minted["token"]["id"])
    assert list_own(ann) == []
    assert bench.audit()[-2:] == [("ann", "token.mint"), ("ann", "token.revoke")]


def test_a_token_mints_none_that_allows_more_or_lives_longer(admin: Bench, clock: time_machine.Traveller) -> None:
    adam = admin.by(admin.sign_in("adam").actor)
    acts: list[str] = [Act.READ, Act.MANAGE_OWN_TOKENS]
    first = admin.by(admin.tokens.read(issue_personal(adam, NewToken(name="a", acts=acts, lifetime=600))["secret"]))
    with pytest.raises(Forbidden):
        issue_personal(first, NewToken(name="b"))
    with pytest.raises(Forbidden):
        issue_personal(first, NewToken(name="b", acts=[Act.READ, Act.SUBMIT]))
    with pytest.raises(InvalidInput, match=r"lifetime must end by 2026-06-01T08:10:00\.000Z") as refused:
        issue_personal(first, NewToken(name="b", acts=[Act.READ], lifetime=1200))
    assert refused.value.field == "lifetime"
    second = issue_personal(first, NewToken(name="b", acts=[Act.READ]))
    assert admin.tokens.read(second["secret"]).expires_at == START + timedelta(seconds=600)
    reader = admin.by(admin.tokens.read(second["secret"]))
    for deed in (lambda: issue_personal(reader, NewToken(name="c", acts=[Act.READ])), lambda: list_own(reader)):
        with pytest.raises(Forbidden):
            deed()
    narrow = issue_personal(adam, NewToken(name="d", instance_id="mine"))
    with pytest.raises(Forbidden):
        issue_personal(admin.by(admin.tokens.read(narrow["secret"])), NewToken(name="e"))
    # What one shows one may always give back.
    revoke_own(reader, second["token"]["id"])
    with pytest.raises(Unauthenticated):
        admin.tokens.read(second["secret"])


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"name": ""}, "name"),
        ({"acts": []}, "acts"),
        ({"acts": ["everything"]}, "acts"),
        ({"acts": ["task.submit"]}, "acts"),
        ({"acts": [7]}, "acts[0]"),
        ({"lifetime": 0}, "lifetime"),
        ({"lifetime": 1e9}, "lifetime"),
        ({"lifetime": float("nan")}, "lifetime"),
        ({"instance_id": "a b"}, "instance_id"),
    ],
)
def test_a_personal_token_that_makes_no_sense_is_refused(bench: Bench, values: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        issue_personal(bench.by(bench.sign_in().actor), NewToken(**{"name": "a", **values}))
    assert refused.value.field == field


def test_nobody_mints_a_personal_token_for_an_instance_that_they_do_not_see(bench: Bench) -> None:
    with pytest.raises(NotFound):
        issue_personal(bench.by(bench.sign_in().actor), NewToken(name="a", instance_id="mine"))


def test_there_are_only_so_many_tokens(new_bench: NewBench, clock: time_machine.Traveller) -> None:
    bench = new_bench(personal_tokens=2, front_end_tokens=1)
    bench.add("adam", role=Role.ADMIN)
    adam = bench.by(bench.sign_in("adam").actor)
    for lifetime in (60, 600):
        issue_personal(adam, NewToken(name="a", lifetime=lifetime))
    with pytest.raises(TooMany):
        issue_personal(adam, NewToken(name="b"))
    issue_front_end(adam, bench.tokens, "mine", NewFrontEndToken(name="p", lifetime=60))
    with pytest.raises(TooMany):
        issue_front_end(adam, bench.tokens, "mine", NewFrontEndToken(name="q"))
    clock.shift(timedelta(seconds=61))
    issue_personal(adam, NewToken(name="b"))
    issue_front_end(adam, bench.tokens, "mine", NewFrontEndToken(name="q"))


def test_an_admin_mints_lists_and_revokes_tokens_of_front_ends(admin: Bench) -> None:
    adam = admin.by(admin.sign_in("adam").actor)
    task_id = admin.rt.ledger.submit(new_task("mine"))[0].id
    new = NewFrontEndToken(
        name="shop", task_id=task_id, acts=["instance.read", "task.cancel"], fields=["output", "error", "output"]
    )
    minted = issue_front_end(adam, admin.tokens, "mine", new)
    actor = admin.tokens.read(minted["secret"])
    assert (actor.kind, actor.instance_id, actor.task_id) == ("front_end", "mine", task_id)
    assert (actor.acts, actor.fields) == (frozenset({Act.READ, Act.CANCEL}), frozenset({"error", "output"}))
    assert actor.expires_at == START + timedelta(hours=24)
    assert list_front_ends(adam, "mine") == [minted["token"]]
    revoke_front_end(adam, "mine", minted["token"]["id"])
    assert list_front_ends(adam, "mine") == []
    with pytest.raises(Unauthenticated, match="revoked"):
        admin.tokens.read(minted["secret"])
    assert admin.audit("mine")[-2:] == [("adam", "token.mint"), ("adam", "token.revoke")]


def test_a_front_ends_token_rests_while_its_minter_is_disabled(admin: Bench) -> None:
    minted = issue_front_end(admin.by(admin.sign_in("adam").actor), admin.tokens, "mine", NewFrontEndToken(name="shop"))
    actor = admin.tokens.read(minted["secret"])
    users.disable_user(admin.rt, "adam")
    with pytest.raises(Unauthenticated):
        admin.tokens.read(minted["secret"])
    assert admin.tokens.find_ended([actor]) == {actor: "disabled"}
    users.enable_user(admin.rt, "adam")
    assert admin.tokens.read(minted["secret"]) == actor


@pytest.mark.parametrize(
    ("who", "values", "error"),
    [
        ("ann", {}, NotFound),
        ("olga", {}, Forbidden),
        (None, {}, Unauthenticated),
        ("adam", {"instance_id": "theirs"}, NotFound),
        ("adam", {"task_id": NO_TASK}, NotFound),
        ("adam", {"task_id": "7"}, InvalidInput),
        ("adam", {"acts": ["token.mint", "instance.read"]}, InvalidInput),
        ("adam", {"acts": ["user.write"]}, InvalidInput),
        ("adam", {"acts": ["task.submit", "instance.read"], "task_id": NO_TASK}, InvalidInput),
        ("adam", {"acts": []}, InvalidInput),
        ("adam", {"fields": ["x" * 201]}, InvalidInput),
        ("adam", {"fields": ["secret_thing"]}, InvalidInput),
        ("adam", {"lifetime": 86_401}, InvalidInput),
        ("adam", {"name": "a\nb"}, InvalidInput),
    ],
)
def test_a_token_for_a_front_end_is_refused(
    admin: Bench, who: str | None, values: dict[str, Any], error: type[SwallowtailError]
) -> None:
    admin.add("olga", role=Role.OPERATOR)
    rt = admin.by(admin.sign_in(who).actor if who else ANONYMOUS)
    values, instance_id = dict(values), values.get("instance_id", "mine")
    values.pop("instance_id", None)
    with pytest.raises(error):
        issue_front_end(rt, admin.tokens, instance_id, NewFrontEndToken(**{"name": "p", **values}))
    assert list_front_ends(admin.by(admin.sign_in("adam").actor), "mine") == []


def test_a_personal_token_mints_for_front_ends_only_what_it_may_itself(admin: Bench) -> None:
    adam = admin.by(admin.sign_in("adam").actor)
    token = issue_personal(adam, NewToken(name="minter", acts=[Act.READ, Act.ISSUE_TOKENS]))
    minter = admin.by(admin.tokens.read(token["secret"]))
    issue_front_end(minter, admin.tokens, "mine", NewFrontEndToken(name="p"))
    with pytest.raises(Forbidden):
        issue_front_end(minter, admin.tokens, "mine", NewFrontEndToken(name="p", acts=[Act.READ, Act.SUBMIT]))
