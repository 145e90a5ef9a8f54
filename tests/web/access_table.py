"""Who gets what answer from which route. A route that is not in the table fails `test_access_table`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

#: Who asks, in the order of a row's answers. `page` bears a token for the instance, `task_page` one for a task of it.
WHO = ("nobody", "stranger", "viewer", "operator", "admin", "owner", "superuser", "page", "task_page", "expired")

#: Everybody, known or not.
PUBLIC = "200 200 200 200 200 200 200 200 200 200"
#: Everybody who is known.
KNOWN = "401 200 200 200 200 200 200 200 200 401"
#: Everybody who is known, but front ends.
PEOPLE = "401 200 200 200 200 200 200 403 403 401"
#: Nobody, whoever they are: what they show is wrong.
REFUSED = "401 401 401 401 401 401 401 401 401 401"
SUPERUSERS = "401 403 403 403 403 403 200 403 403 401"
#: Members, and front ends of the instance; a superuser is no member by that.
READERS = "401 404 200 200 200 200 404 200 200 401"
#: Where a token for one task is not enough.
WHOLE = "401 404 200 200 200 200 404 200 403 401"
#: Likewise, where it must not even learn whether the thing is there.
WHOLE_HIDDEN = "401 404 200 200 200 200 404 200 404 401"
#: Members, on pages, which are no front end's.
MEMBERS = "401 404 200 200 200 200 404 403 403 401"
OPERATORS = "401 404 403 200 200 200 404 403 403 401"
#: Where a token for one task must not learn whether the thing is there.
OPERATORS_HIDDEN = "401 404 403 200 200 200 404 403 404 401"
ADMINS = "401 404 403 403 200 200 404 403 403 401"
OWNERS = "401 404 403 403 403 200 404 403 403 401"


@dataclass(frozen=True, slots=True)
class Row:
    """How a route is asked, and the statuses that each of `WHO` gets; `done` is its status of success."""

    answers: str
    path: Callable[[Any], str]
    body: dict[str, Any] | None = None
    done: int = 200

    def expected(self) -> dict[str, int]:
        statuses = [int(status) for status in self.answers.split()]
        return {who: self.done if status == 200 else status for who, status in zip(WHO, statuses, strict=True)}


def _at(path: str) -> Callable[[Any], str]:
    return lambda _: path


SCHEDULE = {"name": "", "kind": "brief", "input": {"text": "Hi"}, "interval_seconds": 60}

TABLE = {
    "GET /": Row(PEOPLE, _at("/")),
    "GET /instances/<instance_id>": Row(MEMBERS, _at("/instances/acme")),
    "GET /instances/<instance_id>/new": Row(MEMBERS, _at("/instances/acme/new")),
    "GET /instances/<instance_id>/schedules": Row(MEMBERS, _at("/instances/acme/schedules")),
    "GET /instances/<instance_id>/audit": Row(ADMINS, _at("/instances/acme/audit")),
    "GET /audit": Row(SUPERUSERS, _at("/audit")),
    "GET /instances/<instance_id>/settings": Row(ADMINS, _at("/instances/acme/settings")),
    "GET /tasks/<task_id>": Row(MEMBERS, lambda domain: f"/tasks/{domain.task_id}"),
    "GET /account": Row(PEOPLE, _at("/account")),
    # Whoever is not signed in by a cookie has no session to end and no page to give a token to.
    "GET /login": Row(PUBLIC, _at("/login")),
    "POST /login": Row(" ".join(["403"] * len(WHO)), _at("/login")),
    "GET /login/provider": Row(" ".join(["404"] * len(WHO)), _at("/login/provider")),
    "GET /login/provider/back": Row(" ".join(["404"] * len(WHO)), _at("/login/provider/back")),
    "POST /logout": Row(PUBLIC, _at("/logout"), done=303),
    "POST /session/token": Row(" ".join(["401"] * len(WHO)), _at("/session/token")),
    "GET /agents": Row(PEOPLE, _at("/agents")),
    # No tenant's: files that are the same for everybody, and signs of life for load balancers.
    "GET /clients/javascript/<path:name>": Row(PUBLIC, _at("/clients/javascript/log_position.js")),
    "GET /docs/websocket_client_example.html": Row(PUBLIC, _at("/docs/websocket_client_example.html")),
    "GET /favicon.ico": Row(PUBLIC, _at("/favicon.ico")),
    "GET /static/<path:filename>": Row(PUBLIC, _at("/static/swallowtail.svg")),
    "GET /api/docs": Row(PUBLIC, _at("/api/docs")),
    "GET /api/openapi.json": Row(PUBLIC, _at("/api/openapi.json")),
    "GET /healthz": Row(PUBLIC, _at("/healthz")),
    # The hub does not run here.
    "GET /readyz": Row(PUBLIC, _at("/readyz"), done=503),
    "GET /metrics": Row(SUPERUSERS, _at("/metrics")),
    # Who signs in is not known yet.
    "POST /api/v1/auth/login": Row(REFUSED, _at("/api/v1/auth/login"), {"name": "nobody", "password": "x"}),
    "POST /api/v1/auth/refresh": Row(REFUSED, _at("/api/v1/auth/refresh"), {"session_token": "x"}),
    # These actors were not issued a token here, and have no password.
    "POST /api/v1/auth/logout": Row("401 409 409 409 409 409 409 403 403 401", _at("/api/v1/auth/logout")),
    "POST /api/v1/auth/password": Row(
        "401 403 403 403 403 403 403 403 403 401",
        _at("/api/v1/auth/password"),
        {"password": "x", "new_password": "staple after staple"},
    ),
    "GET /api/v1/auth/whoami": Row(KNOWN, _at("/api/v1/auth/whoami")),
    "GET /api/v1/users": Row(SUPERUSERS, _at("/api/v1/users")),
    "POST /api/v1/users": Row(
        SUPERUSERS, _at("/api/v1/users"), {"name": "", "issuer": "https://id.example", "subject": "7"}, 201
    ),
    "GET /api/v1/users/<user_name>": Row(SUPERUSERS, _at("/api/v1/users/viewer")),
    "POST /api/v1/users/<user_name>/disable": Row(
        SUPERUSERS, lambda domain: f"/api/v1/users/{domain.new_user()}/disable"
    ),
    "POST /api/v1/users/<user_name>/enable": Row(
        SUPERUSERS, lambda domain: f"/api/v1/users/{domain.new_user()}/enable"
    ),
    "POST /api/v1/users/<user_name>/promote": Row(
        SUPERUSERS, lambda domain: f"/api/v1/users/{domain.new_user()}/promote"
    ),
    "POST /api/v1/users/<user_name>/demote": Row(
        SUPERUSERS, lambda domain: f"/api/v1/users/{domain.new_user()}/demote"
    ),
    "POST /api/v1/users/<user_name>/password": Row(
        SUPERUSERS,
        lambda domain: f"/api/v1/users/{domain.new_user()}/password",
        {"password": "staple after staple"},
    ),
    "GET /api/v1/tokens": Row(PEOPLE, _at("/api/v1/tokens")),
    "POST /api/v1/tokens": Row(PEOPLE, _at("/api/v1/tokens"), {"name": "ci"}, 201),
    # Nobody's: a token is its owner's alone.
    "DELETE /api/v1/tokens/<token_id>": Row(
        "401 404 404 404 404 404 404 403 403 401", _at("/api/v1/tokens/00000000-0000-4000-8000-000000000000")
    ),
    "GET /api/v1/agents": Row(KNOWN, _at("/api/v1/agents")),
    "GET /api/v1/agents/<kind>": Row(KNOWN, _at("/api/v1/agents/brief")),
    "GET /api/v1/instances": Row(KNOWN, _at("/api/v1/instances")),
    "POST /api/v1/instances": Row(PEOPLE, _at("/api/v1/instances"), {"name": "New"}, 201),
    "GET /api/v1/instances/<instance_id>": Row(READERS, _at("/api/v1/instances/acme")),
    "GET /api/v1/audit": Row(SUPERUSERS, _at("/api/v1/audit")),
    "GET /api/v1/instances/<instance_id>/audit": Row(ADMINS, _at("/api/v1/instances/acme/audit")),
    "GET /api/v1/instances/<instance_id>/snapshot": Row(READERS, _at("/api/v1/instances/acme/snapshot")),
    "GET /api/v1/instances/<instance_id>/events": Row(READERS, _at("/api/v1/instances/acme/events")),
    "GET /api/v1/instances/<instance_id>/tasks": Row(READERS, _at("/api/v1/instances/acme/tasks")),
    "POST /api/v1/instances/<instance_id>/tasks": Row(
        OPERATORS, _at("/api/v1/instances/acme/tasks"), {"kind": "brief", "input": {"text": "Hi"}}, 201
    ),
    "GET /api/v1/tasks/<task_id>": Row(READERS, lambda domain: f"/api/v1/tasks/{domain.task_id}"),
    "GET /api/v1/tasks/<task_id>/steps": Row(READERS, lambda domain: f"/api/v1/tasks/{domain.task_id}/steps"),
    "GET /api/v1/tasks/<task_id>/steps/<step_id>": Row(
        READERS, lambda domain: f"/api/v1/tasks/{domain.task_id}/steps/{domain.new_step()}"
    ),
    "POST /api/v1/tasks/<task_id>/cancel": Row(
        OPERATORS_HIDDEN, lambda domain: f"/api/v1/tasks/{domain.new_task()}/cancel", {}
    ),
    "POST /api/v1/tasks/<task_id>/retry": Row(
        OPERATORS_HIDDEN, lambda domain: f"/api/v1/tasks/{domain.new_failure()}/retry", {}
    ),
    "GET /api/v1/instances/<instance_id>/members": Row(ADMINS, _at("/api/v1/instances/acme/members")),
    "PUT /api/v1/instances/<instance_id>/members/<user_name>": Row(
        ADMINS, lambda domain: f"/api/v1/instances/acme/members/{domain.new_user()}", {"role": "viewer"}
    ),
    "DELETE /api/v1/instances/<instance_id>/members/<user_name>": Row(
        ADMINS, lambda domain: f"/api/v1/instances/acme/members/{domain.new_member()}", None, 204
    ),
    "GET /api/v1/instances/<instance_id>/front-end-tokens": Row(ADMINS, _at("/api/v1/instances/acme/front-end-tokens")),
    "POST /api/v1/instances/<instance_id>/front-end-tokens": Row(
        ADMINS, _at("/api/v1/instances/acme/front-end-tokens"), {"name": "page"}, 201
    ),
    "DELETE /api/v1/instances/<instance_id>/front-end-tokens/<token_id>": Row(
        ADMINS, lambda domain: f"/api/v1/instances/acme/front-end-tokens/{domain.new_token()}", None, 204
    ),
    "GET /api/v1/instances/<instance_id>/schedules": Row(WHOLE, _at("/api/v1/instances/acme/schedules")),
    "POST /api/v1/instances/<instance_id>/schedules": Row(
        OPERATORS, _at("/api/v1/instances/acme/schedules"), SCHEDULE, 201
    ),
    "GET /api/v1/artifacts/<artifact_id>": Row(READERS, lambda domain: f"/api/v1/artifacts/{domain.new_artifact()}"),
    "GET /api/v1/instances/<instance_id>/policy": Row(ADMINS, _at("/api/v1/instances/acme/policy")),
    "PUT /api/v1/instances/<instance_id>/policy": Row(
        ADMINS, _at("/api/v1/instances/acme/policy"), {"secret_fields": ["iban"]}
    ),
    "GET /api/v1/instances/<instance_id>/export": Row(OWNERS, _at("/api/v1/instances/acme/export")),
    # Without the id once more; whoever may not is refused before that.
    "DELETE /api/v1/instances/<instance_id>": Row(OWNERS, _at("/api/v1/instances/acme"), None, 422),
    "GET /api/v1/schedules/<schedule_id>": Row(
        WHOLE_HIDDEN, lambda domain: f"/api/v1/schedules/{domain.new_schedule()}"
    ),
    "GET /api/v1/schedules/<schedule_id>/slots": Row(
        WHOLE_HIDDEN, lambda domain: f"/api/v1/schedules/{domain.new_schedule()}/slots"
    ),
    "POST /api/v1/schedules/<schedule_id>/pause": Row(
        OPERATORS_HIDDEN, lambda domain: f"/api/v1/schedules/{domain.new_schedule()}/pause", {}
    ),
    "POST /api/v1/schedules/<schedule_id>/resume": Row(
        OPERATORS_HIDDEN, lambda domain: f"/api/v1/schedules/{domain.new_schedule()}/resume", {}
    ),
    "DELETE /api/v1/schedules/<schedule_id>": Row(
        OPERATORS_HIDDEN, lambda domain: f"/api/v1/schedules/{domain.new_schedule()}", None, 204
    ),
}
