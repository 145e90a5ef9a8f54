"""Personal tokens and API tokens allow no more than their creator may do, and are listed and revoked."""

from __future__ import annotations

from datetime import timedelta
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
from swallowtail.app.core.schemas.identities import NewFrontEndToken, NewToken
from swallowtail.app.core.security.actors import ANONYMOUS
from swallowtail.app.core.security.roles import Act, Role
from tests.core.domain import new_task
from tests.identity.bench import Bench
from tests.identity.conftest import START, NewBench

pytestmark = pytest.mark.usefixtures("clock")
NO_TASK = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def admin(bench: Bench) -> Bench:
    """Return the bench, with `adam` an admin of `mine`, and `ann` no member."""
    bench.add("adam", role=Role.ADMIN)
    return bench


def test_personal_tokens_are_listed_and_revoked_by_their_owner_alone(bench: Bench) -> None:
    bench.add("bob")
    ann, bob = bench.by(bench.sign_in().actor), bench.by(bench.sign_in("bob").actor)
    issued = issue_personal(ann, NewToken(name="ci", acts=["task.submit", "instance.read"]))
    assert issued["secret"] not in str(issued["token"])
    assert list_own(ann) == [issued["token"]]
    assert list_own(bob) == []
    with pytest.raises(NotFound):
        revoke_own(bob, issued["token"]["id"])
    revoke_own(ann, issued["token"]["id"])
    revoke_own(ann, issued["token"]["id"])
    assert list_own(ann) == []
    assert bench.audit()[-2:] == [("ann", "token.mint"), ("ann", "token.revoke")]


def test_a_token_creates_none_that_allows_more_or_expires_later(admin: Bench, clock: time_machine.Traveller) -> None:
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
    for call in (lambda: issue_personal(reader, NewToken(name="c", acts=[Act.READ])), lambda: list_own(reader)):
        with pytest.raises(Forbidden):
            call()
    narrow = issue_personal(adam, NewToken(name="d", instance_id="mine"))
    with pytest.raises(Forbidden):
        issue_personal(admin.by(admin.tokens.read(narrow["secret"])), NewToken(name="e"))
    # A caller may always revoke the token of the request.
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


def test_a_personal_token_for_an_instance_requires_access_to_it(bench: Bench) -> None:
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


def test_an_admin_creates_lists_and_revokes_api_tokens(admin: Bench) -> None:
    adam = admin.by(admin.sign_in("adam").actor)
    task_id = admin.rt.ledger.submit(new_task("mine"))[0].id
    new = NewFrontEndToken(
        name="shop", task_id=task_id, acts=["instance.read", "task.cancel"], fields=["output", "error", "output"]
    )
    issued = issue_front_end(adam, admin.tokens, "mine", new)
    actor = admin.tokens.read(issued["secret"])
    assert (actor.kind, actor.instance_id, actor.task_id) == ("front_end", "mine", task_id)
    assert (actor.acts, actor.fields) == (frozenset({Act.READ, Act.CANCEL}), frozenset({"error", "output"}))
    assert actor.expires_at == START + timedelta(hours=24)
    assert list_front_ends(adam, "mine") == [issued["token"]]
    revoke_front_end(adam, "mine", issued["token"]["id"])
    assert list_front_ends(adam, "mine") == []
    with pytest.raises(Unauthenticated, match="revoked"):
        admin.tokens.read(issued["secret"])
    assert admin.audit("mine")[-2:] == [("adam", "token.mint"), ("adam", "token.revoke")]


def test_an_api_token_is_suspended_while_its_creator_is_disabled(admin: Bench) -> None:
    issued = issue_front_end(admin.by(admin.sign_in("adam").actor), admin.tokens, "mine", NewFrontEndToken(name="shop"))
    actor = admin.tokens.read(issued["secret"])
    users.disable_user(admin.rt, "adam")
    with pytest.raises(Unauthenticated):
        admin.tokens.read(issued["secret"])
    assert admin.tokens.find_ended([actor]) == {actor: "disabled"}
    users.enable_user(admin.rt, "adam")
    assert admin.tokens.read(issued["secret"]) == actor


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


def test_a_personal_token_creates_api_tokens_only_with_its_own_permissions(admin: Bench) -> None:
    adam = admin.by(admin.sign_in("adam").actor)
    token = issue_personal(adam, NewToken(name="issuer", acts=[Act.READ, Act.ISSUE_TOKENS]))
    issuer = admin.by(admin.tokens.read(token["secret"]))
    issue_front_end(issuer, admin.tokens, "mine", NewFrontEndToken(name="p"))
    with pytest.raises(Forbidden):
        issue_front_end(issuer, admin.tokens, "mine", NewFrontEndToken(name="p", acts=[Act.READ, Act.SUBMIT]))


INVALID = NewFrontEndToken(name="", acts=["member.write"], fields=["secret_thing"], task_id="xyz", lifetime=0.5)


@pytest.mark.parametrize(("who", "refusal"), [("nobody", Unauthenticated), ("ann", NotFound)])
def test_the_permission_is_checked_before_the_request(admin: Bench, who: str, refusal: type[SwallowtailError]) -> None:
    """Order of checks: callers without the permission got a message about the request first."""
    caller = admin.by(ANONYMOUS if who == "nobody" else admin.sign_in().actor)
    with pytest.raises(refusal):
        issue_front_end(caller, admin.tokens, "mine", INVALID)
    with pytest.raises(refusal):
        revoke_front_end(caller, "mine", "xyz")
    with pytest.raises(Unauthenticated):
        revoke_own(admin.by(ANONYMOUS), "xyz")
    adam = admin.by(admin.sign_in("adam").actor)
    for invalid in (
        lambda: issue_front_end(adam, admin.tokens, "mine", INVALID),
        lambda: revoke_front_end(adam, "mine", "xyz"),
        lambda: revoke_own(adam, "xyz"),
    ):
        with pytest.raises(InvalidInput):
            invalid()
