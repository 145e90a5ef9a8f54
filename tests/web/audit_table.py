"""What each route leaves in the audit log. A changing route that is not in the table fails `test_audit_deeds`."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from werkzeug.test import TestResponse

from swallowtail.app.core.identity import api_tokens, members, sessions, users
from swallowtail.app.core.identity.api_tokens import PersonalWish
from swallowtail.app.core.security.permissions import NOBODY, Actor, Caller
from swallowtail.app.core.tables.auth import User
from swallowtail.app.web.request import current_caller
from tests.identity.bench import PASSWORD
from tests.web.access_table import SCHEDULE
from tests.web.browser_client import csrf_token_of
from tests.web.callers import CallersApp

#: How a request finds out who makes it where no callers_app says so.
_IDENTIFY = current_caller.identify
_NUMBERS = itertools.count(1)

#: An entry's action, the type of its object and the object's id: `made` is in the answer, `/4` the part of the path at
#: that place, `who` whoever asks, `*` anything, and whatever else the id itself.
Mark = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Left:
    """What a route leaves in the log of `scope` (of no instance when empty) when `who` asks; in their order.

    `ask` does what a path and a body of the access table cannot; it tells the answer, and the id of who did it.
    """

    who: str
    scope: str
    marks: list[Mark]
    path: Callable[[CallersApp], str] | None = None
    body: dict[str, Any] | None = None
    done: int | None = None
    ask: Callable[[CallersApp], tuple[TestResponse, str]] | None = None
    entrance: str = "rest"


def _make_known(callers_app: CallersApp) -> tuple[str, str]:
    """Somebody with a password: their name and id."""
    name = f"known{next(_NUMBERS)}"
    return name, users.create_user(callers_app.rt, name, PASSWORD)["id"]


def _login(callers_app: CallersApp) -> tuple[TestResponse, str]:
    name, user_id = _make_known(callers_app)
    return callers_app.request(NOBODY, "POST", "/api/v1/auth/login", {"name": name, "password": PASSWORD}), user_id


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
    callers_app.caller = NOBODY
    client = callers_app.web_app.app.test_client()
    form = {"name": name, "password": PASSWORD, "csrf": csrf_token_of(client.get("/login"))}
    return client.post("/login", data=form), user_id


def _logout_by_page(callers_app: CallersApp) -> tuple[TestResponse, str]:
    _, user_id = _make_known(callers_app)
    with callers_app.rt.db.read() as session:
        user = session.get_one(User, user_id)
    secret = sessions.open_session(callers_app.rt, callers_app.web_app.web.tokens, user).session_secret
    client = callers_app.web_app.app.test_client()
    client.set_cookie("swallowtail_session", secret)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(current_caller, "identify", _IDENTIFY)
        return client.post("/logout", data={"csrf": csrf_token_of(client.get("/account"))}), user_id


def _own_token(callers_app: CallersApp) -> str:
    mine = callers_app.rt.by(Caller(callers_app.actors["viewer"], "system"))
    return f"/api/v1/tokens/{api_tokens.mint_personal(mine, PersonalWish('ci')).view['id']}"


def _paused(callers_app: CallersApp) -> str:
    schedule_id = callers_app.new_schedule()
    callers_app.request("owner", "POST", f"/api/v1/schedules/{schedule_id}/pause")
    return f"/api/v1/schedules/{schedule_id}/resume"


def _disabled(callers_app: CallersApp) -> str:
    name = callers_app.new_user()
    users.disable_user(callers_app.rt, name)
    return f"/api/v1/users/{name}/enable"


def _superuser(callers_app: CallersApp) -> str:
    """Somebody who is not the last one."""
    other, name = callers_app.new_user(), callers_app.new_user()
    users.make_superuser(callers_app.rt, other)
    users.make_superuser(callers_app.rt, name)
    return f"/api/v1/users/{name}/demote"


def _doomed(callers_app: CallersApp) -> str:
    """An instance with a task that waits and a schedule, to be deleted."""
    callers_app.request("superuser", "POST", "/api/v1/instances", {"name": "Doomed", "id": "doomed"})
    members.set_member(callers_app.rt, "doomed", "owner", "owner")
    callers_app.new_task("doomed")
    callers_app.new_schedule("doomed")
    return "/api/v1/instances/doomed?confirm=doomed"


_USERS: Any = {"who": "superuser", "scope": ""}
_OWNER: Any = {"who": "owner", "scope": "acme"}

TABLE = {
    "POST /login": Left("", "", [("session.open", "user", "who")], ask=_login_by_page, done=303, entrance="ui"),
    "POST /logout": Left("", "", [("session.close", "user", "who")], ask=_logout_by_page, done=303, entrance="ui"),
    "POST /api/v1/auth/login": Left("", "", [("session.open", "user", "who")], ask=_login),
    "POST /api/v1/auth/logout": Left("", "", [("session.close", "user", "who")], ask=_logout, done=204),
    "POST /api/v1/auth/password": Left("", "", [("user.password", "user", "who")], ask=_change_password, done=204),
    "POST /api/v1/users": Left(
        **_USERS, marks=[("user.create", "user", "made")], body={"name": "made", "issuer": "https://i", "subject": "1"}
    ),
    "POST /api/v1/users/<user_name>/disable": Left(**_USERS, marks=[("user.disable", "user", "/4")]),
    "POST /api/v1/users/<user_name>/enable": Left(**_USERS, marks=[("user.enable", "user", "/4")], path=_disabled),
    "POST /api/v1/users/<user_name>/promote": Left(**_USERS, marks=[("user.promote", "user", "/4")]),
    "POST /api/v1/users/<user_name>/demote": Left(**_USERS, marks=[("user.demote", "user", "/4")], path=_superuser),
    "POST /api/v1/users/<user_name>/password": Left(**_USERS, marks=[("user.password", "user", "/4")]),
    "POST /api/v1/tokens": Left("viewer", "", [("token.mint", "token", "made")]),
    "DELETE /api/v1/tokens/<token_id>": Left(
        "viewer", "", [("token.revoke", "token", "/4")], path=_own_token, done=204
    ),
    "POST /api/v1/instances": Left(
        "viewer", "fresh", [("instance.create", "instance", "fresh")], body={"name": "Fresh", "id": "fresh"}
    ),
    "POST /api/v1/instances/<instance_id>/tasks": Left(**_OWNER, marks=[("task.submit", "task", "made")]),
    "POST /api/v1/tasks/<task_id>/cancel": Left(**_OWNER, marks=[("task.cancel", "task", "/4")]),
    "POST /api/v1/tasks/<task_id>/retry": Left(**_OWNER, marks=[("task.retry", "task", "/4")]),
    "PUT /api/v1/instances/<instance_id>/members/<user_name>": Left(**_OWNER, marks=[("member.write", "user", "/6")]),
    "DELETE /api/v1/instances/<instance_id>/members/<user_name>": Left(
        **_OWNER, marks=[("member.write", "user", "/6")]
    ),
    "POST /api/v1/instances/<instance_id>/front-end-tokens": Left(**_OWNER, marks=[("token.mint", "token", "made")]),
    "DELETE /api/v1/instances/<instance_id>/front-end-tokens/<token_id>": Left(
        **_OWNER, marks=[("token.revoke", "token", "/6")]
    ),
    "POST /api/v1/instances/<instance_id>/schedules": Left(
        **_OWNER, marks=[("schedule.write", "schedule", "made")], body={**SCHEDULE, "name": "Daily"}
    ),
    "POST /api/v1/schedules/<schedule_id>/pause": Left(**_OWNER, marks=[("schedule.write", "schedule", "/4")]),
    "POST /api/v1/schedules/<schedule_id>/resume": Left(
        **_OWNER, marks=[("schedule.write", "schedule", "/4")], path=_paused
    ),
    "DELETE /api/v1/schedules/<schedule_id>": Left(**_OWNER, marks=[("schedule.write", "schedule", "/4")]),
    "PUT /api/v1/instances/<instance_id>/policy": Left(**_OWNER, marks=[("policy.write", "policy", "acme")]),
    # A copy changes nothing here, and takes everything elsewhere.
    "GET /api/v1/instances/<instance_id>/export": Left(**_OWNER, marks=[("instance.export", "instance", "acme")]),
    # Its beginning, what it had to cancel, and its end.
    "DELETE /api/v1/instances/<instance_id>": Left(
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
#: Changes that leave nothing, and why.
NOTHING = {
    "POST /session/token": "a page gets access tokens of the session whose beginning was written down",
    "POST /api/v1/auth/refresh": "likewise a program; a secret that comes twice is `session.replay`",
}
#: What takes more than an application: the test that it is proven by.
ELSEWHERE = {"GET /login/provider/back": "tests/journey/access/test_oidc.py"}
