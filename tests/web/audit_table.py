"""The expected audit entries of each changing route; `test_audited_routes` checks them."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from werkzeug.test import TestResponse

from swallowtail.app.core.identity import api_tokens, members, sessions, users
from swallowtail.app.core.schemas.identities import NewToken
from swallowtail.app.core.security.actors import ANONYMOUS, Actor, Caller
from swallowtail.app.core.tables.auth import User
from swallowtail.app.web.request import current_caller
from tests.identity.bench import PASSWORD
from tests.web.access_table import SCHEDULE
from tests.web.browser_client import csrf_token_of
from tests.web.callers import CallersApp

#: The real identification of callers, which `CallersApp` replaces.
_IDENTIFY = current_caller.identify
_NUMBERS = itertools.count(1)

#: Action, object type and object id of an entry. The id is `made` (in the response), `/4` (the fourth part of the
#: path), `who` (the caller), `*` (any), or a literal id.
Mark = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class ExpectedEntries:
    """The entries of a route in the log of `scope` (empty: no instance) for the caller `who`, in order.

    `ask` sends a request that the access table cannot describe; it returns the response and the id of the actor.
    """

    who: str
    scope: str
    entries: list[Mark]
    path: Callable[[CallersApp], str] | None = None
    body: dict[str, Any] | None = None
    done: int | None = None
    ask: Callable[[CallersApp], tuple[TestResponse, str]] | None = None
    entrance: str = "rest"


def _make_known(callers_app: CallersApp) -> tuple[str, str]:
    """Create a user with a password; return their name and id."""
    name = f"known{next(_NUMBERS)}"
    return name, users.create_user(callers_app.rt, name, PASSWORD)["id"]


def _login(callers_app: CallersApp) -> tuple[TestResponse, str]:
    name, user_id = _make_known(callers_app)
    return callers_app.request(ANONYMOUS, "POST", "/api/v1/auth/login", {"name": name, "password": PASSWORD}), user_id


def _sign_in(callers_app: CallersApp) -> tuple[Actor, str]:
    _, user_id = _make_known(callers_app)
    with callers_app.rt.db.read() as session:
        user = session.get_one(User, user_id)
    return sessions.open_session(callers_app.rt, callers_app.web_app.web.tokens, user).actor, user_id


def _logout(callers_app: CallersApp) -> tuple[TestResponse, str]:
    actor, user_id = _sign_in(callers_app)
    return callers_app.request(actor, "POST", "/api/v1/auth/logout"), user_id


def _change_password(callers_app: CallersApp) -> tuple[TestResponse, str]:
    actor, user_id = _sign_in(callers_app)
    body = {"password": PASSWORD, "new_password": "staple after staple"}
    return callers_app.request(actor, "POST", "/api/v1/auth/password", body), user_id


def _login_by_page(callers_app: CallersApp) -> tuple[TestResponse, str]:
    name, user_id = _make_known(callers_app)
    callers_app.caller = ANONYMOUS
    client = callers_app.web_app.app.test_client()
    form = {"name": name, "password": PASSWORD, "csrf": csrf_token_of(client.get("/login"))}
    return client.post("/login", data=form), user_id


def _logout_by_page(callers_app: CallersApp) -> tuple[TestResponse, str]:
    _, user_id = _make_known(callers_app)
    with callers_app.rt.db.read() as session:
        user = session.get_one(User, user_id)
    secret = sessions.open_session(callers_app.rt, callers_app.web_app.web.tokens, user).session_token
    client = callers_app.web_app.app.test_client()
    client.set_cookie("swallowtail_session", secret)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(current_caller, "identify", _IDENTIFY)
        return client.post("/logout", data={"csrf": csrf_token_of(client.get("/account"))}), user_id


def _own_token(callers_app: CallersApp) -> str:
    viewer = callers_app.rt.by(Caller(callers_app.actors["viewer"], "system"))
    return f"/api/v1/tokens/{api_tokens.issue_personal(viewer, NewToken(name='ci'))['token']['id']}"


def _paused(callers_app: CallersApp) -> str:
    schedule_id = callers_app.new_schedule()
    callers_app.request("owner", "POST", f"/api/v1/schedules/{schedule_id}/pause")
    return f"/api/v1/schedules/{schedule_id}/resume"


def _disabled(callers_app: CallersApp) -> str:
    name = callers_app.new_user()
    users.disable_user(callers_app.rt, name)
    return f"/api/v1/users/{name}/enable"


def _superuser(callers_app: CallersApp) -> str:
    """Return the path to demote a superuser who is not the last one."""
    other, name = callers_app.new_user(), callers_app.new_user()
    users.set_superuser(callers_app.rt, other, is_superuser=True)
    users.set_superuser(callers_app.rt, name, is_superuser=True)
    return f"/api/v1/users/{name}/demote"


def _doomed(callers_app: CallersApp) -> str:
    """Create an instance with a queued task and a schedule; return the path to delete it."""
    callers_app.request("superuser", "POST", "/api/v1/instances", {"name": "Doomed", "id": "doomed"})
    members.set_member(callers_app.rt, "doomed", "owner", "owner")
    callers_app.new_task("doomed")
    callers_app.new_schedule("doomed")
    return "/api/v1/instances/doomed?confirm=doomed"


_USERS: Any = {"who": "superuser", "scope": ""}
_OWNER: Any = {"who": "owner", "scope": "acme"}

TABLE = {
    "POST /login": ExpectedEntries(
        "", "", [("session.open", "user", "who")], ask=_login_by_page, done=303, entrance="ui"
    ),
    "POST /logout": ExpectedEntries(
        "", "", [("session.close", "user", "who")], ask=_logout_by_page, done=303, entrance="ui"
    ),
    "POST /api/v1/auth/login": ExpectedEntries("", "", [("session.open", "user", "who")], ask=_login),
    "POST /api/v1/auth/logout": ExpectedEntries("", "", [("session.close", "user", "who")], ask=_logout, done=204),
    "POST /api/v1/auth/password": ExpectedEntries(
        "", "", [("user.password", "user", "who")], ask=_change_password, done=204
    ),
    "POST /api/v1/users": ExpectedEntries(
        **_USERS,
        entries=[("user.create", "user", "made")],
        body={"name": "made", "issuer": "https://i", "subject": "1"},
    ),
    "POST /api/v1/users/<user_name>/disable": ExpectedEntries(**_USERS, entries=[("user.disable", "user", "/4")]),
    "POST /api/v1/users/<user_name>/enable": ExpectedEntries(
        **_USERS, entries=[("user.enable", "user", "/4")], path=_disabled
    ),
    "POST /api/v1/users/<user_name>/promote": ExpectedEntries(**_USERS, entries=[("user.promote", "user", "/4")]),
    "POST /api/v1/users/<user_name>/demote": ExpectedEntries(
        **_USERS, entries=[("user.demote", "user", "/4")], path=_superuser
    ),
    "POST /api/v1/users/<user_name>/password": ExpectedEntries(**_USERS, entries=[("user.password", "user", "/4")]),
    "POST /api/v1/tokens": ExpectedEntries("viewer", "", [("token.mint", "token", "made")]),
    "DELETE /api/v1/tokens/<token_id>": ExpectedEntries(
        "viewer", "", [("token.revoke", "token", "/4")], path=_own_token, done=204
    ),
    "POST /api/v1/instances": ExpectedEntries(
        "viewer", "fresh", [("instance.create", "instance", "fresh")], body={"name": "Fresh", "id": "fresh"}
    ),
    "POST /api/v1/instances/<instance_id>/tasks": ExpectedEntries(**_OWNER, entries=[("task.submit", "task", "made")]),
    "POST /api/v1/tasks/<task_id>/cancel": ExpectedEntries(**_OWNER, entries=[("task.cancel", "task", "/4")]),
    "POST /api/v1/tasks/<task_id>/retry": ExpectedEntries(**_OWNER, entries=[("task.retry", "task", "/4")]),
    "PUT /api/v1/instances/<instance_id>/members/<user_name>": ExpectedEntries(
        **_OWNER, entries=[("member.write", "user", "/6")]
    ),
    "DELETE /api/v1/instances/<instance_id>/members/<user_name>": ExpectedEntries(
        **_OWNER, entries=[("member.write", "user", "/6")]
    ),
    "POST /api/v1/instances/<instance_id>/front-end-tokens": ExpectedEntries(
        **_OWNER, entries=[("token.mint", "token", "made")]
    ),
    "DELETE /api/v1/instances/<instance_id>/front-end-tokens/<token_id>": ExpectedEntries(
        **_OWNER, entries=[("token.revoke", "token", "/6")]
    ),
    "POST /api/v1/instances/<instance_id>/schedules": ExpectedEntries(
        **_OWNER, entries=[("schedule.write", "schedule", "made")], body={**SCHEDULE, "name": "Daily"}
    ),
    "POST /api/v1/schedules/<schedule_id>/pause": ExpectedEntries(
        **_OWNER, entries=[("schedule.write", "schedule", "/4")]
    ),
    "POST /api/v1/schedules/<schedule_id>/resume": ExpectedEntries(
        **_OWNER, entries=[("schedule.write", "schedule", "/4")], path=_paused
    ),
    "DELETE /api/v1/schedules/<schedule_id>": ExpectedEntries(**_OWNER, entries=[("schedule.write", "schedule", "/4")]),
    "PUT /api/v1/instances/<instance_id>/policy": ExpectedEntries(
        **_OWNER, entries=[("policy.write", "policy", "acme")]
    ),
    # An export changes nothing but discloses all data.
    "GET /api/v1/instances/<instance_id>/export": ExpectedEntries(
        **_OWNER, entries=[("instance.export", "instance", "acme")]
    ),
    # The start, the cancelled task, and the end.
    "DELETE /api/v1/instances/<instance_id>": ExpectedEntries(
        "owner",
        "doomed",
        [
            ("instance.delete", "instance", "doomed"),
            ("task.cancel", "task", "*"),
            ("instance.delete", "instance", "doomed"),
        ],
        path=_doomed,
        done=200,
    ),
}
#: Changing routes without an entry, and the reason.
NOTHING = {
    "POST /session/token": "a page gets access tokens of the session whose beginning was written down",
    "POST /api/v1/auth/refresh": "likewise a program; a secret that comes twice is `session.replay`",
}
#: Routes that need more than an application, and the test that covers them.
ELSEWHERE = {"GET /login/provider/back": "tests/journey/access/test_oidc.py"}
