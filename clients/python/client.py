"""The client of the REST API and of the event stream, for programs without asyncio."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, overload

from .callers.blocking import Caller, Stream
from .rest import calls, flows
from .rest.results import Agent, Event, LiveUpdate, Reset, Step, Submission, Task
from .stream.log_stream import Position, Subject, deliver_log
from .stream.outage import ReportConnection
from .stream.task_end import wait_for_task


class Client(Caller):
    """Calls a Swallowtail server. Any number of threads may use one client at once."""

    def submit(
        self,
        kind: str,
        input: Any = None,
        *,
        instance: str,
        title: str | None = None,
        key: str | None = None,
        expires_in: float | None = None,
    ) -> Submission:
        """Submit a task. It is stored once, even if the request has to be sent several times.

        `key` is the idempotency key, by default a random one: the same key again returns the first task.
        """
        return self._call(calls.submit_task(kind, input, instance, title, key, expires_in))

    def get(self, task_id: str) -> Task:
        """Return a task, with its input and result."""
        return self._call(calls.read_task(task_id))

    def steps(self, task_id: str) -> list[Step]:
        """Return a task's steps, without their outputs."""
        return self._call(calls.list_steps(task_id))

    def step(self, task_id: str, step_id: str) -> Step:
        """Return a step, with its output."""
        return self._call(calls.read_step(task_id, step_id))

    def tasks(
        self,
        instance: str,
        *,
        status: str | None = None,
        kind: str | None = None,
        since: datetime | str | None = None,
        until: datetime | str | None = None,
        text: str | None = None,
        limit: int | None = None,
    ) -> Stream[Task]:
        """Return an instance's tasks, the latest first, without inputs and results; at most `limit` of them.

        `since` and `until` limit the time of submission, and `text` is a part of the title or of the kind.
        """
        filters = calls.task_filters(status, kind, since, until, text)
        path = calls.tasks_path(instance)
        return self._stream(flows.deliver_pages(self._session, path, filters, Task.from_json, limit))

    def cancel(self, task_id: str) -> Submission:
        """Cancel a task; a running one is asked to stop."""
        return self._call(calls.cancel_task(task_id))

    def retry(self, task_id: str, from_step: str | None = None) -> Submission:
        """Retry a task that failed, was cancelled or expired; `from_step` is the key of the first step to repeat."""
        return self._call(calls.retry_task(task_id, from_step))

    def events(self, instance: str, since: int = 0, *, epoch: str | None = None) -> Stream[Event]:
        """Return the stored events of an instance after number `since`, of the log `epoch`."""
        return self._stream(flows.deliver_events(self._session, instance, since, epoch))

    def agents(self) -> list[Agent]:
        """Return every agent's card, by kind."""
        return self._call(calls.list_agents())

    def agent(self, kind: str) -> Agent:
        """Return one agent's card."""
        return self._call(calls.read_agent(kind))

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """Send a request to any resource, such as `/api/v1/users`, and return the JSON of its answer."""
        return self._call(calls.request_json(method, path, params, json, headers))

    def pages(self, path: str, params: Mapping[str, Any] | None = None) -> Stream[Any]:
        """Return the JSON of all items of a list, from all its pages."""
        return self._stream(flows.deliver_pages(self._session, path, params or {}, lambda item: item))

    def wait(self, task_id: str, timeout: float | None = None) -> Task:
        """Return a task once it has ended, however it ended. Raises TimeoutError after `timeout` seconds."""
        return self._run(wait_for_task(self._session, task_id, timeout))

    @overload
    def watch(
        self,
        instance: str,
        *,
        task: str | None = None,
        since: Position | None = None,
        live: Literal[False] = False,
        on_connection: ReportConnection | None = None,
    ) -> Stream[Event | Reset]: ...

    @overload
    def watch(
        self,
        instance: str,
        *,
        task: str | None = None,
        since: Position | None = None,
        live: bool,
        on_connection: ReportConnection | None = None,
    ) -> Stream[Event | LiveUpdate | Reset]: ...

    def watch(
        self,
        instance: str,
        *,
        task: str | None = None,
        since: Position | None = None,
        live: bool = False,
        on_connection: ReportConnection | None = None,
    ) -> Stream[Any]:
        """Return the events of an instance as they happen, each once and in order, until the stream is closed.

        It begins now, or after `since`; with `task`, at the beginning of that task, and ends when the task ends. A lost
        connection, a restart of the server or an outage of Redis does not end it: `on_connection` is called with the
        reason when the server is away, and with None when it is back. `Reset` comes in place of events that are not
        stored any more. `live` adds progress and text of running steps.
        """
        subject = Subject(instance, task, live, on_connection=on_connection)
        return self._stream(deliver_log(self._session, subject, since)).begin()
