"""The requests that the client's methods send, and how their answers are read."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from .results import Agent, EventPage, Json, Reset, Step, Submission, Task, read_items

T = TypeVar("T")

ROOT = "/api/v1"
#: Methods that may be sent again when the answer is lost. A second DELETE finds nothing.
_REPEATABLE = ("GET", "HEAD", "OPTIONS", "PUT")


@dataclass(frozen=True)
class Call(Generic[T]):
    """One request. `parse` makes the result, from the JSON of the answer and its HTTP status."""

    method: str
    path: str
    parse: Callable[[Any, int], T]
    params: Mapping[str, Any] = field(default_factory=dict)
    json: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    #: Sent again even if no server has answered this client yet.
    patient: bool = False

    @property
    def repeatable(self) -> bool:
        """Whether the request may be sent again when its answer is lost."""
        return self.method in _REPEATABLE or "Idempotency-Key" in self.headers


def submit_task(
    kind: str,
    input: Any,
    instance: str,
    title: str | None,
    key: str | None,
    expires_in: float | None,
) -> Call[Submission]:
    """Submit a task; with an idempotency key of its own if there is none, so that it can be sent again."""
    body = {"kind": kind, "input": input, "title": title, "expires_in": expires_in}
    return Call(
        "POST",
        f"{ROOT}/instances/{_part(instance)}/tasks",
        Submission.from_json,
        json={name: value for name, value in body.items() if value is not None or name == "input"},
        headers={"Idempotency-Key": str(uuid.uuid4()) if key is None else key},
        patient=True,
    )


def read_task(task_id: str) -> Call[Task]:
    """Read a task, with its input and result."""
    return Call("GET", f"{ROOT}/tasks/{_part(task_id)}", _of(Task.from_json))


def list_steps(task_id: str) -> Call[list[Step]]:
    """Read a task's steps, without their outputs."""
    return Call("GET", f"{ROOT}/tasks/{_part(task_id)}/steps", _list_of(Step.from_json))


def read_step(task_id: str, step_id: str) -> Call[Step]:
    """Read a step, with its output."""
    return Call("GET", f"{ROOT}/tasks/{_part(task_id)}/steps/{_part(step_id)}", _of(Step.from_json))


def cancel_task(task_id: str) -> Call[Submission]:
    """Cancel a task."""
    return Call("POST", f"{ROOT}/tasks/{_part(task_id)}/cancel", Submission.from_json)


def retry_task(task_id: str, from_step: str | None) -> Call[Submission]:
    """Retry a task."""
    body = {} if from_step is None else {"from_step": from_step}
    return Call("POST", f"{ROOT}/tasks/{_part(task_id)}/retry", Submission.from_json, json=body)


def list_agents() -> Call[list[Agent]]:
    """Read every agent's card."""
    return Call("GET", f"{ROOT}/agents", _list_of(Agent.from_json))


def read_agent(kind: str) -> Call[Agent]:
    """Read one agent's card."""
    return Call("GET", f"{ROOT}/agents/{_part(kind)}", _of(Agent.from_json))


def request_json(
    method: str,
    path: str,
    params: Mapping[str, Any] | None = None,
    json: Any = None,
    headers: Mapping[str, str] | None = None,
) -> Call[Any]:
    """Send a request whose answer is returned as it is."""
    return Call(method.upper(), path, lambda raw, _: raw, _sent(params or {}), json, headers or {})


def read_instance(instance: str) -> Call[tuple[str, int]]:
    """Read where the log of an instance is: its epoch, and the number of the latest event."""
    return Call("GET", instance_path(instance), lambda raw, _: (raw["epoch"], raw["seq"]))


def read_events(instance: str, position: Mapping[str, Any]) -> Call[EventPage]:
    """Read the events of an instance after a position: `since`, `epoch` and `task_id`."""
    return Call("GET", f"{instance_path(instance)}/events", _of(EventPage.from_json), _sent(position))


def read_snapshot(instance: str) -> Call[Reset]:
    """Read the present state of an instance."""
    return Call("GET", f"{instance_path(instance)}/snapshot", _of(Reset.from_json))


def read_page(path: str, params: Mapping[str, Any], read: Callable[[Any], Any]) -> Call[tuple[list[Any], str | None]]:
    """Read a page of a list; the answer is its items and the cursor of the next page."""
    parse = lambda raw, _: ([read(item) for item in raw["items"]], raw.get("next_cursor"))  # noqa: E731
    return Call("GET", path, parse, _sent(params))


def task_filters(
    status: str | None,
    kind: str | None,
    since: datetime | str | None,
    until: datetime | str | None,
    text: str | None,
) -> Mapping[str, Any]:
    """Return the query of a list of tasks."""
    return _sent({"status": status, "kind": kind, "since": since, "until": until, "text": text})


def tasks_path(instance: str) -> str:
    """Return the path of an instance's tasks."""
    return f"{ROOT}/instances/{_part(instance)}/tasks"


def instance_path(instance: str) -> str:
    """Return the path of an instance."""
    return f"{ROOT}/instances/{_part(instance)}"


def _part(text: str) -> str:
    return quote(text, safe="")


def _sent(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters that have a value, times as the API reads them."""
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in params.items()
        if value is not None
    }


def _of(read: Callable[[Json], T]) -> Callable[[Any, int], T]:
    return lambda raw, _: read(raw)


def _list_of(read: Callable[[Json], T]) -> Callable[[Any, int], list[T]]:
    return lambda raw, _: [read(item) for item in read_items(raw)]
