"""A web application with two instances and callers of every kind, from anonymous to superuser."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from swallowtail.app.core.events import now, step_id
from swallowtail.app.core.identity import api_tokens
from swallowtail.app.core.identity.members import set_member
from swallowtail.app.core.ledger.artifacts import store_output
from swallowtail.app.core.ledger.event_log import Change
from swallowtail.app.core.schemas.identities import NewFrontEndToken
from swallowtail.app.core.schemas.schedules import NewSchedule
from swallowtail.app.core.schemas.tasks import NewTask
from swallowtail.app.core.security.actors import ANONYMOUS, Actor
from swallowtail.app.core.security.roles import Act, Role
from swallowtail.app.core.services import schedules as schedule_service
from swallowtail.app.core.services import tasks as task_service
from swallowtail.app.core.services.instances import create_instance
from swallowtail.app.core.tables.auth import AccessToken, Membership, User
from swallowtail.app.core.tables.tasks import Step, Task
from swallowtail.app.web.request import current_caller
from tests.harness.settings import make_settings
from tests.identity.bench import CHEAP
from tests.web.app_fixture import CARD, WebApp

_NUMBERS = itertools.count(1)


def make_user(name: str, **more: Any) -> Actor:
    """Return a user whose id is their name."""
    return Actor("user", name, name, user_id=name, **more)


def make_front_end(instance_id: str, task_id: str | None = None, fields: frozenset[str] | None = None) -> Actor:
    """Return the bearer of an API token of a front end."""
    name = f"page-{instance_id}"
    return Actor(
        "front_end",
        name,
        name,
        token_id=name,
        acts=frozenset({Act.READ}),
        instance_id=instance_id,
        task_id=task_id,
        fields=fields,
    )


class CallersApp:
    """A web application with the instances `acme` and `other`, called as the actor `caller`."""

    def __init__(self, var: Path, monkeypatch: pytest.MonkeyPatch, **more: Any) -> None:
        options: dict[str, Any] = {"auth": "required", "secret_key": "k" * 32, "limits": "off", **CHEAP, **more}
        settings = make_settings(var_dir=var, async_mode="threading", **options)
        self.web_app = WebApp(settings)
        self.rt = self.web_app.rt
        self.caller = ANONYMOUS
        monkeypatch.setattr(current_caller, "identify", lambda: self.caller)
        for name in ("acme", "other"):
            create_instance(self.rt, name.title(), name)
        self.task_id = self.new_task()
        self.other_task_id = self.new_task("other")
        self.actors = self._create_actors()

    def _create_actors(self) -> dict[str, Actor]:
        actors = {role.value: make_user(role.value) for role in Role}
        actors |= {"stranger": make_user("stranger"), "superuser": make_user("superuser", is_superuser=True)}
        with self.rt.db.write() as session:
            session.add_all(
                User(id=name, name=name, is_superuser=actor.is_superuser, created_at=now())
                for name, actor in actors.items()
            )
            session.flush()
            for role in Role:
                session.add(Membership(instance_id="acme", user_id=role.value, role=role.value, created_at=now()))
            session.add(Membership(instance_id="other", user_id="stranger", role="owner", created_at=now()))
            session.add(AccessToken(id="page-acme", kind="front_end", instance_id="acme", created_at=now()))
        return actors | {
            "nobody": ANONYMOUS,
            "expired": ANONYMOUS,
            "page": make_front_end("acme"),
            "task_page": make_front_end("acme", self.task_id),
        }

    def request(self, who: str | Actor, method: str, path: str, body: Any = None) -> TestResponse:
        """Send a request as an actor."""
        self.caller = self.actors[who] if isinstance(who, str) else who
        response = self.web_app.client.open(path, method=method, json=body)
        response.get_data()
        response.close()
        return response

    def new_task(self, instance_id: str = "acme") -> str:
        """Submit a task; return its id."""
        submission = NewTask(kind=CARD.kind, input={"text": "Hello"})
        return task_service.submit(self.rt, instance_id, submission).task["id"]

    def new_user(self) -> str:
        """Create a user; return their name."""
        name = f"user{next(_NUMBERS)}"
        with self.rt.db.write() as session:
            session.add(User(id=name, name=name, created_at=now()))
        return name

    def new_member(self) -> str:
        """Create a viewer of `acme`; return their name."""
        name = self.new_user()
        set_member(self.rt, "acme", name, "viewer")
        return name

    def new_token(self) -> str:
        """Create an API token for `acme`; return its id."""
        new_token = NewFrontEndToken(name="page")
        return api_tokens.issue_front_end(self.rt, self.web_app.web.tokens, "acme", new_token)["token"]["id"]

    def new_failure(self) -> str:
        """Submit a task that fails; return its id."""
        task_id = self.new_task()
        self.web_app.perform(task_id, fail=True)
        return task_id

    def new_artifact(self) -> str:
        """Create a large output of `task_id`; return its id."""

        def work(change: Change) -> str:
            task = change.session.get_one(Task, self.task_id)
            return str(store_output(change, self.rt.settings, task, "x" * 40_000)[1])

        artifact_id: str = self.rt.commit(work)
        return artifact_id

    def new_step(self) -> str:
        """Create a step of `task_id`; return its id."""
        key = f"s{next(_NUMBERS)}"
        row = Step(id=step_id(self.task_id, key), task_id=self.task_id, key=key, position=1, agent="A", action="a")
        row.status, row.attempt, row.started_at = "completed", 1, now()
        with self.rt.db.write() as session:
            session.add(row)
        return row.id

    def new_schedule(self, instance_id: str = "acme") -> str:
        """Create a schedule; return its id."""
        schedule = NewSchedule(
            name=f"S{next(_NUMBERS)}", kind=CARD.kind, input={"text": "Hello"}, interval_seconds=60.0
        )
        return schedule_service.add_schedule(self.rt, instance_id, schedule)["id"]


@contextmanager
def open_callers_app(directory: Path, **more: Any) -> Iterator[CallersApp]:
    """Open an application with its data in a directory and additional settings, and close it."""
    with pytest.MonkeyPatch.context() as patch:
        callers_app = CallersApp(directory, patch, **more)
        yield callers_app
        callers_app.web_app.close()
