"""Waits for the end of a task."""

from __future__ import annotations

import time
from contextlib import closing
from typing import Any

from ..errors import ConnectionFailed
from ..rest import calls
from ..rest.flows import Begun, Deliver, Flow, Session, perform
from ..rest.results import Task
from .log_stream import Subject, deliver_log, late_task


def wait_for_task(session: Session, task_id: str, timeout: float | None) -> Flow[Task]:
    """Return a task once it has ended. Raises TimeoutError."""
    deadline = None if timeout is None else time.monotonic() + timeout
    task = yield from perform(session, calls.read_task(task_id))
    while not task.is_final:
        # Its end is an event after the one that this state knows.
        subject = Subject(task.instance_id, task_id, deadline=deadline)
        try:
            yield from _discard_items(deliver_log(session, subject, task.last_seq))
        except ConnectionFailed as fault:
            if deadline is None or time.monotonic() < deadline:
                raise
            raise late_task(task_id) from fault
        task = yield from perform(session, calls.read_task(task_id))
    return task


def _discard_items(flow: Flow[None]) -> Flow[None]:
    """Execute a flow without its items."""
    answer: Any = None
    fault: Exception | None = None
    with closing(flow):
        while True:
            try:
                command = flow.send(answer) if fault is None else flow.throw(fault)
            except StopIteration:
                return
            answer = fault = None
            if isinstance(command, Deliver | Begun):
                continue
            try:
                answer = yield command
            except Exception as error:
                fault = error
