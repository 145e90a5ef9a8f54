"""Beside the road: a web application in this process, a client to ask it, and a hand that plays the worker."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Flask
from werkzeug.test import TestResponse

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.database.engines import PostgresDriver
from swallowtail.app.core.ledger import agent_cards
from swallowtail.app.web.container import Web
from swallowtail.app.web.factory import create_app
from tests.harness.tables import create_tables

BRIEF = {
    "type": "object",
    "properties": {
        "text": {"type": "string", "minLength": 1},
        "platforms": {"type": "array", "items": {"enum": ["x", "linkedin"]}},
        "rounds": {"type": "integer", "default": 3},
    },
    "required": ["text"],
    "additionalProperties": False,
}
CARD = agent_cards.AgentCard("brief", "Brief", "Takes a brief", "1", BRIEF)
GIVEN = {"kind": "brief", "input": {"text": "Hello"}}

Json = dict[str, Any]


class WebApp:
    """The application, asked through Flask's test client."""

    def __init__(self, settings: Settings, driver: PostgresDriver | None = None) -> None:
        self.app: Flask = create_app(settings, driver=driver)
        self.web: Web = self.app.extensions["swallowtail"]
        self.rt = self.web.rt
        create_tables(self.rt.db.engine)
        agent_cards.register(self.rt.db, [CARD])
        self.client = self.app.test_client()

    def get(self, path: str, **options: Any) -> TestResponse:
        """Ask under `/api/v1`."""
        return self.client.get(f"/api/v1{path}", **options)

    def post(self, path: str, body: object = None, **options: Any) -> TestResponse:
        """Write under `/api/v1`; without a body when `body` is None."""
        if body is not None:
            options["json"] = body
        return self.client.post(f"/api/v1{path}", **options)

    def fetch(self, path: str, **options: Any) -> TestResponse:
        """Ask for a file and close it."""
        answer = self.client.get(path, **options)
        answer.get_data()
        answer.close()
        return answer

    def create_instance(self, instance_id: str) -> Json:
        """Create an instance."""
        return take(self.post("/instances", {"name": instance_id.title(), "id": instance_id}), 201)

    def submit(self, instance_id: str = "acme", **more: Any) -> Json:
        """Submit a brief; the answer."""
        return take(self.post(f"/instances/{instance_id}/tasks", GIVEN | more), 201)

    def perform(
        self, task_id: str, *, attempt: int = 1, steps: tuple[str, ...] = ("plan",), fail: bool = False
    ) -> None:
        """Do what a worker does, to the end."""
        claim = self.rt.runs.claim(task_id, attempt, "hand")
        assert claim is not None
        for key in steps:
            if key not in claim.saved:
                self.rt.runs.start_step(claim, key, "Manager", key)
                self.rt.runs.finish_step(claim, key, {"did": key})
        if fail:
            self.rt.runs.fail(claim, {"code": "agent_failed", "message": "no luck"})
        else:
            self.rt.runs.complete(claim, {"done": True})

    def close(self) -> None:
        """Close what the application opened."""
        self.web.close()


Open = Callable[..., WebApp]


def take(answer: TestResponse, status: int = 200) -> Json:
    """The JSON of an answer that has this status."""
    assert answer.status_code == status, answer.text
    assert answer.mimetype == "application/json"
    value: Json = answer.get_json()
    return value


def problem(answer: TestResponse, status: int, code: str, field: str | None = None) -> Json:
    """The problem that an answer tells of, with its shape checked."""
    assert answer.status_code == status, answer.text
    assert answer.mimetype == "application/problem+json"
    body: Json = answer.get_json()
    assert {"type", "title", "status", "detail", "code"} <= set(body)
    assert set(body) <= {
        "type", "title", "status", "detail", "code", "field", "errors", "error_id", "min_seq", "head", "epoch",
        "retry_after_ms",
    }  # fmt: skip
    assert (body["status"], body["code"], body.get("field")) == (status, code, field), body
    assert body["type"] == f"/api/docs#problem-{code}"
    assert "Traceback" not in answer.text
    return body
