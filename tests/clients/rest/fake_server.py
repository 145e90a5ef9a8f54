"""A server for the Python client that answers with responses of the test, and notes the requests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx2

Answer = httpx2.Response | Exception | Callable[[httpx2.Request], httpx2.Response]

TASK: dict[str, Any] = {
    "id": "t", "instance_id": "demo", "kind": "echo", "title": "Echo", "status": "QUEUED", "progress": 0.0,
    "message": "", "attempt": 0, "error": None, "cancel_requested": False, "submitted_by": "api", "last_seq": 2,
    "created_at": "2026-01-01T00:00:00.000Z", "started_at": None, "finished_at": None,
    "updated_at": "2026-01-01T00:00:01.000Z", "expires_at": None, "input": {"message": "hi"}, "result": None,
}  # fmt: skip


class FakeRest:
    """Answers each request with the next of `answers`; the last one is repeated."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.requests: list[httpx2.Request] = []

    @property
    def transport(self) -> httpx2.MockTransport:
        """What `Client(transport=…)` takes."""
        return httpx2.MockTransport(self._respond)

    @property
    def lines(self) -> list[str]:
        """Method and path of each request, with its query."""
        return [f"{request.method} {request.url.raw_path.decode()}" for request in self.requests]

    def _respond(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        response = answer if isinstance(answer, httpx2.Response) else answer(request)
        # A response can be read by one client only.
        return httpx2.Response(response.status_code, headers=response.headers, content=response.content)


def reply(body: Any, status: int = 200, **headers: str) -> httpx2.Response:
    """Return an answer in JSON."""
    return httpx2.Response(status, json=body, headers=headers)


def problem(status: int, code: str, **more: Any) -> httpx2.Response:
    """Return problem details."""
    headers = {"Content-Type": "application/problem+json"}
    if "retry_after" in more:
        headers["Retry-After"] = more.pop("retry_after")
    body = {"type": "/x", "title": "A problem", "status": status, "detail": f"it is {code}", "code": code, **more}
    return httpx2.Response(status, json=body, headers=headers)


def page(*items: Any, cursor: str | None = None) -> httpx2.Response:
    """Return one page of a list."""
    return reply({"items": list(items), "next_cursor": cursor})


def outcome(**task: Any) -> dict[str, Any]:
    """Return the JSON after a write."""
    return {"task": TASK | task, "seq": 2, "epoch": "e"}
