"""Users are created, change their passwords and are disabled, which revokes their earlier tokens."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import func, select

from swallowtail.app.core.errors import Conflict, Forbidden, InvalidInput, NotFound, Unauthenticated
from swallowtail.app.core.identity import user_passwords, users
from swallowtail.app.core.identity.demo_owner import give_demo_to_first
from swallowtail.app.core.identity.users import Identity
from swallowtail.app.core.security.actors import ANONYMOUS, Actor
from swallowtail.app.core.security.permission_version import read_version
from swallowtail.app.core.security.roles import Act, Role
from swallowtail.app.core.tables.auth import Membership, User
from tests.identity.bench import PASSWORD, Bench
from tests.identity.conftest import NewBench

NEW = "another long password"


def _version(bench: Bench) -> int:
    with bench.rt.db.read() as session:
        return read_version(session)


def test_a_user_is_created_with_a_name_in_lower_case_and_written_down(bench: Bench) -> None:
    bench.add("root", is_superuser=True)
    root = bench.sign_in("root").actor
    before = _version(bench)

    user = users.create_user(bench.by(root), " Bob@Example.com ", PASSWORD)

    assert (user["name"], user["is_superuser"], user["has_password"]) == ("bob@example.com", False, True)
    assert bench.sign_in("BOB@example.com").actor.user_id == user["id"]
    assert ("root", "user.create") in bench.audit()
    assert _version(bench) == before + 1


@pytest.mark.parametrize("name", ["", " ", "a b", "-ann", "ann-", "ä", "x" * 101, "a\nb", "<b>", "a/b", 7, None])
def test_a_name_that_could_mislead_is_refused(bench: Bench, name: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        users.create_user(bench.rt, name, PASSWORD)
    assert refused.value.field == "name"


def test_a_name_twice_is_a_conflict_and_nothing_is_written(bench: Bench) -> None:
    before = bench.audit()
    with pytest.raises(Conflict):
        users.create_user(bench.by(Actor("open", "o", "o", is_superuser=True)), "ANN", PASSWORD)
    assert bench.audit() == before


def test_only_superusers_keep_users(bench: Bench) -> None:
    ann = bench.sign_in().actor
    for actor, error in ((ann, Forbidden), (ANONYMOUS, Unauthenticated)):
        rt = bench.by(actor)
        with pytest.raises(error):
            users.create_user(rt, "eve", PASSWORD)
        with pytest.raises(error):
            users.list_users(rt, limit=10)
        with pytest.raises(error):
            users.disable_user(rt, "ann")
        with pytest.raises(error):
            users.enable_user(rt, "ann")
        with pytest.raises(error):
            user_passwords.set_password(rt, "ann", NEW)


def test_users_are_listed_by_name_in_pages(bench: Bench) -> None:
    for name in ("cyd", "bob"):
        bench.add(name)
    first, after = users.list_users(bench.rt, limit=2)
    rest, end = users.list_users(bench.rt, limit=2, after=after)
    assert [user["name"] for user in first + rest] == ["ann", "bob", "cyd"]
    assert end is None


def test_a_disabled_user_cannot_sign_in_until_enabled_and_old_tokens_stay_invalid(bench: Bench) -> None:
    signed_in = bench.sign_in()
    before = _version(bench)
    users.disable_user(bench.rt, "ann")

    assert _version(bench) > before
    with pytest.raises(Unauthenticated, match="the name or the password is wrong"):
        bench.sign_in()
    with pytest.raises(Unauthenticated, match="revoked"):
        bench.tokens.read(signed_in.access_token)
    assert bench.tokens.find_ended([signed_in.actor]) == {signed_in.actor: "disabled"}

    users.enable_user(bench.rt, "ann")
    with pytest.raises(Unauthenticated, match="revoked"):
        bench.tokens.read(signed_in.access_token)
    assert bench.sign_in().actor.name == "ann"


def test_the_last_superuser_cannot_be_disabled(bench: Bench) -> None:
    bench.add("root", is_superuser=True)
    with pytest.raises(Conflict, match="the last superuser"):
        users.disable_user(bench.rt, "root")
    bench.add("other", is_superuser=True)
    assert users.disable_user(bench.rt, "root")["disabled_at"] is not None
    with pytest.raises(NotFound):
        users.disable_user(bench.rt, "nobody")


def test_a_new_password_ends_all_sessions(bench: Bench) -> None:
    signed_in = bench.sign_in()
    user_passwords.set_password(bench.rt, "ann", NEW)
    with pytest.raises(Unauthenticated):
        bench.tokens.read(signed_in.access_token)
    with pytest.raises(Unauthenticated):
        bench.sign_in()
    assert bench.sign_in(password=NEW).actor.name == "ann"


def test_a_user_changes_the_own_password_with_the_present_one(bench: Bench) -> None:
    ann = bench.by(bench.sign_in().actor)
    with pytest.raises(Forbidden) as refused:
        user_passwords.change_own_password(ann, "wrong password", NEW)
    assert refused.value.field == "password"
    with pytest.raises(InvalidInput):
        user_passwords.change_own_password(ann, PASSWORD, "short")
    script = bench.by(replace(ann.caller.actor, acts=frozenset({Act.MANAGE_OWN_TOKENS})))
    with pytest.raises(Forbidden):
        user_passwords.change_own_password(script, PASSWORD, NEW)
    user_passwords.change_own_password(ann, PASSWORD, NEW)
    assert bench.sign_in(password=NEW).actor.name == "ann"
    assert bench.audit()[1:] == [
        ("ann", "user.password_refuse"),
        ("ann", "user.password"),
        ("ann", "session.open"),
    ]


def test_a_wrong_password_and_an_unknown_name_get_the_same_answer(bench: Bench) -> None:
    answers = []
    for name, password in (
        ("ann", "wrong password"),
        ("nobody", PASSWORD),
        ("Not A Name\x00", "x"),
        ("ann", "x" * 9999),
    ):
        with pytest.raises(Unauthenticated) as refused:
            bench.sign_in(name, password)
        answers.append((str(refused.value), refused.value.field))
    assert answers == [("the name or the password is wrong", None)] * 4


def test_a_login_hashes_the_password_again_when_the_parameters_have_changed(bench: Bench, new_bench: NewBench) -> None:
    before = bench.user().password_hash
    bench.sign_in()
    assert bench.user().password_hash == before
    stronger = new_bench(password_memory_kib=16)
    stronger.sign_in()
    after = bench.user().password_hash or ""
    assert "m=16," in after
    stronger.sign_in()
    assert bench.user().password_hash == after


def test_an_identity_has_a_user_only_if_it_is_registered_or_may_be_provisioned(bench: Bench) -> None:
    ada = Identity("https://id.example", "42", "Ada@Example.com")
    assert users.find_or_create_user(bench.rt, ada, provision=False) is None
    met = users.find_or_create_user(bench.rt, ada, provision=True)
    assert met is not None
    assert (met.name, met.is_superuser) == ("ada@example.com", False)
    again = users.find_or_create_user(bench.rt, ada, provision=False)
    assert again is not None
    assert again.id == met.id
    assert bench.audit()[-1] == ("ada@example.com", "user.create")


@pytest.mark.parametrize("preferred", ["ann", None, "<script>", "x" * 500, "A\x00"])
def test_a_preferred_name_never_leads_to_another_user(bench: Bench, preferred: str | None) -> None:
    met = users.find_or_create_user(bench.rt, Identity("https://id.example", "42", preferred), provision=True)
    assert met is not None
    assert met.id != bench.user().id
    assert met.name.startswith("user-")
    for strange in ("x" * 301, "a\x00b"):
        assert users.find_or_create_user(bench.rt, Identity("https://id.example", strange), provision=True) is None
    with bench.rt.db.read() as session:
        assert session.scalar(select(func.count()).select_from(User)) == 2


def test_a_user_of_a_provider_is_created_without_a_password(bench: Bench) -> None:
    user = users.create_user(bench.rt, "ada", identity=Identity("https://id.example", "42"))
    assert (user["has_password"], user["issuer"], user["subject"]) == (False, "https://id.example", "42")
    with pytest.raises(Unauthenticated):
        bench.sign_in("ada", "")
    with pytest.raises(Conflict):
        user_passwords.set_password(bench.rt, "ada", NEW)
    with pytest.raises(Conflict):
        users.create_user(bench.rt, "ida", identity=Identity("https://id.example", "42"))
    with pytest.raises(InvalidInput):
        users.create_user(bench.rt, "ida")


def test_promoting_and_demoting_take_effect_at_once_and_are_audited(bench: Bench) -> None:
    bench.add("root", is_superuser=True)
    root, ann = bench.sign_in("root").actor, bench.sign_in()
    before = _version(bench)

    assert users.set_superuser(bench.by(root), "ANN", is_superuser=True)["is_superuser"] is True
    assert bench.tokens.read(ann.access_token).is_superuser
    assert users.set_superuser(bench.by(root), "ann", is_superuser=True)["is_superuser"] is True
    assert _version(bench) == before + 1

    assert users.set_superuser(bench.by(root), "ann", is_superuser=False)["is_superuser"] is False
    assert not bench.tokens.read(ann.access_token).is_superuser
    assert _version(bench) == before + 2
    assert bench.audit()[-2:] == [("root", "user.promote"), ("root", "user.demote")]
    for is_superuser in (True, False):
        with pytest.raises(Forbidden):
            users.set_superuser(bench.by(ann.actor), "ann", is_superuser=is_superuser)


def test_the_last_enabled_superuser_cannot_be_demoted(bench: Bench) -> None:
    bench.add("root", is_superuser=True)
    bench.add("other", is_superuser=True)
    users.disable_user(bench.rt, "other")
    with pytest.raises(Conflict):
        users.set_superuser(bench.rt, "root", is_superuser=False)
    assert users.set_superuser(bench.rt, "other", is_superuser=False)["is_superuser"] is False
    users.enable_user(bench.rt, "other")
    with pytest.raises(Conflict):
        users.set_superuser(bench.rt, "root", is_superuser=False)
    assert bench.user("root").is_superuser


def _owners(bench: Bench) -> list[str]:
    with bench.rt.db.read() as session:
        query = select(User.name).join(Membership, Membership.user_id == User.id)
        return list(session.scalars(query.where(Membership.instance_id == "mine", Membership.role == "owner")))


def test_the_first_superuser_becomes_the_owner_of_the_demo_instance_and_no_later_one(new_bench: NewBench) -> None:
    bench = new_bench(demo_instance="mine")
    bench.add("ann")
    assert _owners(bench) == []
    bench.add("root", is_superuser=True)
    bench.add("other", is_superuser=True)
    assert _owners(bench) == ["root"]


def test_a_promoted_user_becomes_the_owner_of_a_demo_instance_without_one(new_bench: NewBench) -> None:
    bench = new_bench(demo_instance="mine")
    bench.add("ann", role=Role.VIEWER)
    users.set_superuser(bench.by(Actor("open", "o", "o", is_superuser=True)), "ann", is_superuser=True)
    assert _owners(bench) == ["ann"]
    assert bench.audit("mine") == [("o", "member.write")]


def test_the_first_enabled_superuser_becomes_the_owner_of_a_demo_instance_that_is_created_later(
    new_bench: NewBench,
) -> None:
    bench = new_bench(demo_instance="none")
    for name in ("ann", "root", "other"):
        bench.add(name, is_superuser=name != "ann")
        give_demo_to_first(bench.rt, "none")
    users.disable_user(bench.rt, "root")
    before = _version(bench)
    for _ in range(2):
        give_demo_to_first(bench.rt, "mine")
    assert _owners(bench) == ["other"]
    assert _version(bench) == before + 1
    users.enable_user(bench.rt, "root")
    give_demo_to_first(bench.rt, "mine")
    assert _owners(bench) == ["other"]


def test_a_demo_instance_that_does_not_exist_keeps_no_superuser_from_being_created(new_bench: NewBench) -> None:
    new_bench(demo_instance="none").add("root", is_superuser=True)
