"""A web application in the test process, with a test client and a method that does a worker's part."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Flask
from werkzeug.test import TestResponse

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.database.engines import PostgresDriver
from swallowtail.app.core.ledger import agent_cards
from swallowtail.app.web.container import WebContainer
from swallowtail.app.web.factory import create_app
from tests.harness.database.tables import create_tables

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
SUBMISSION = {"kind": "brief", "input": {"text": "Hello"}}

Json = dict[str, Any]


class WebApp:
    """The application and Flask's test client."""

    def __init__(self, settings: Settings, driver: PostgresDriver | None = None) -> None:
        self.app: Flask = create_app(settings, driver=driver)
        self.web: WebContainer = self.app.extensions["swallowtail"]
        self.rt = self.web.rt
        create_tables(self.rt.db.engine)
        agent_cards.register(self.rt.db, [CARD])
        self.client = self.app.test_client()

    def get(self, path: str, **options: Any) -> TestResponse:
        """Send a GET request to a path under `/api/v1`."""
        return self.client.get(f"/api/v1{path}", **options)

    def post(self, path: str, body: object = None, **options: Any) -> TestResponse:
        """Send a POST request to a path under `/api/v1`, without a body if `body` is None."""
        if body is not None:
            options["json"] = body
        return self.client.post(f"/api/v1{path}", **options)

    def fetch(self, path: str, **options: Any) -> TestResponse:
        """Get a file and close the response."""
        response = self.client.get(path, **options)
        response.get_data()
        response.close()
        return response

    def create_instance(self, instance_id: str) -> Json:
        """Create an instance."""
        return expect_json(self.post("/instances", {"name": instance_id.title(), "id": instance_id}), 201)

    def submit(self, instance_id: str = "acme", **more: Any) -> Json:
        """Submit a brief; return the JSON of the response."""
        return expect_json(self.post(f"/instances/{instance_id}/tasks", SUBMISSION | more), 201)

    def perform(
        self, task_id: str, *, attempt: int = 1, steps: tuple[str, ...] = ("plan",), fail: bool = False
    ) -> None:
        """Run a task to its end, as a worker does."""
        claim = self.rt.runs.claim(task_id, attempt, "test")
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


def expect_json(response: TestResponse, status: int = 200) -> Json:
    """Check the status of a response; return its JSON."""
    assert response.status_code == status, response.text
    assert response.mimetype == "application/json"
    value: Json = response.get_json()
    return value


def expect_problem(response: TestResponse, status: int, code: str, field: str | None = None) -> Json:
    """Check a problem response; return its JSON."""
    assert response.status_code == status, response.text
    assert response.mimetype == "application/problem+json"
    body: Json = response.get_json()
    assert {"type", "title", "status", "detail", "code"} <= set(body)
    assert set(body) <= {
        "type", "title", "status", "detail", "code", "field", "errors", "error_id", "min_seq", "head", "epoch",
        "retry_after_ms",
    }  # fmt: skip
    assert (body["status"], body["code"], body.get("field")) == (status, code, field), body
    assert body["type"] == f"/api/docs#problem-{code}"
    assert "Traceback" not in response.text
    return body
