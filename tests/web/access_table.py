"""The expected status of each route for each kind of caller; `test_routes_table` checks it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

#: Callers in the order of a row's statuses. `page` has an API token of the instance, `task_page` one of a task in it.
CALLERS = ("nobody", "stranger", "viewer", "operator", "admin", "owner", "superuser", "page", "task_page", "expired")

#: All callers, also anonymous ones.
PUBLIC = "200 200 200 200 200 200 200 200 200 200"
#: All authenticated callers.
KNOWN = "401 200 200 200 200 200 200 200 200 401"
#: All authenticated callers except front ends.
PEOPLE = "401 200 200 200 200 200 200 403 403 401"
#: No caller: the credentials in the body are wrong.
REFUSED = "401 401 401 401 401 401 401 401 401 401"
SUPERUSERS = "401 403 403 403 403 403 200 403 403 401"
#: Members and front ends of the instance; superusers are not members by default.
READERS = "401 404 200 200 200 200 404 200 200 401"
#: Routes that refuse a token for one task.
WHOLE = "401 404 200 200 200 200 404 200 403 401"
#: Routes that hide the object from a token for one task.
WHOLE_HIDDEN = "401 404 200 200 200 200 404 200 404 401"
#: Members on pages, which refuse front ends.
MEMBERS = "401 404 200 200 200 200 404 403 403 401"
OPERATORS = "401 404 403 200 200 200 404 403 403 401"
#: Operators; the object is hidden from a token for one task.
OPERATORS_HIDDEN = "401 404 403 200 200 200 404 403 404 401"
ADMINS = "401 404 403 403 200 200 404 403 403 401"
OWNERS = "401 404 403 403 403 200 404 403 403 401"


@dataclass(frozen=True, slots=True)
class Row:
    """The request of a route, and the expected status for each caller; `done` is its success status."""

    answers: str
    path: Callable[[Any], str]
    body: dict[str, Any] | None = None
    done: int = 200

    def expected(self) -> dict[str, int]:
        statuses = [int(status) for status in self.answers.split()]
        return {who: self.done if status == 200 else status for who, status in zip(CALLERS, statuses, strict=True)}


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
    # Without a session cookie there is no session to end and no token to issue.
    "GET /login": Row(PUBLIC, _at("/login")),
    "POST /login": Row(" ".join(["403"] * len(CALLERS)), _at("/login")),
    "GET /login/provider": Row(" ".join(["404"] * len(CALLERS)), _at("/login/provider")),
    "GET /login/provider/back": Row(" ".join(["404"] * len(CALLERS)), _at("/login/provider/back")),
    "POST /logout": Row(PUBLIC, _at("/logout"), done=303),
    "POST /session/token": Row(" ".join(["401"] * len(CALLERS)), _at("/session/token")),
    "GET /agents": Row(PEOPLE, _at("/agents")),
    # Static files, and health checks for load balancers.
    "GET /clients/javascript/<path:name>": Row(PUBLIC, _at("/clients/javascript/log_position.js")),
    "GET /docs/websocket_client_example.html": Row(PUBLIC, _at("/docs/websocket_client_example.html")),
    "GET /favicon.ico": Row(PUBLIC, _at("/favicon.ico")),
    "GET /static/<path:filename>": Row(PUBLIC, _at("/static/swallowtail.svg")),
    "GET /api/docs": Row(PUBLIC, _at("/api/docs")),
    "GET /api/openapi.json": Row(PUBLIC, _at("/api/openapi.json")),
    "GET /healthz": Row(PUBLIC, _at("/healthz")),
    # The hub does not run in this test.
    "GET /readyz": Row(PUBLIC, _at("/readyz"), done=503),
    "GET /metrics": Row(SUPERUSERS, _at("/metrics")),
    # The caller is anonymous until they sign in.
    "POST /api/v1/auth/login": Row(REFUSED, _at("/api/v1/auth/login"), {"name": "nobody", "password": "x"}),
    "POST /api/v1/auth/refresh": Row(REFUSED, _at("/api/v1/auth/refresh"), {"session_token": "x"}),
    # These actors have no token row and no password.
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
    # A token belongs to its owner only.
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
    # Without the confirmation; callers without permission are refused first.
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
