"""Says why a task waits: after it is submitted, and while a command follows it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from swallowtail.app.core.states import TaskStatus
from swallowtail.client.errors import ClientError
from swallowtail.scripts.cli.output.printing import print_note

if TYPE_CHECKING:
    from swallowtail.client import Client, Task

#: How long the command waits for its task to be sent to the broker before it reports that it was not, in seconds.
SENT_WITHIN = 1.0
#: Seconds between two looks at the task.
_PAUSE, _FOLLOWING_PAUSE = 0.1, 5.0
_NOT_SENT = (TaskStatus.SUBMITTED, TaskStatus.RETRYING)
_NOT_STARTED = (*_NOT_SENT, TaskStatus.QUEUED)


def wait_until_sent(client: Client, task: Task) -> Task:
    """Wait briefly until the task is sent to the broker; say why it waits if a reason is known."""
    until = time.monotonic() + SENT_WITHIN
    while task.status in _NOT_SENT and task.waiting is None and time.monotonic() < until:
        time.sleep(min(_PAUSE, SENT_WITHIN))
        task = client.get(task.id)
    if task.waiting is not None:
        print_note(f"Stored, and waiting: {task.waiting.message}")
    elif task.status in _NOT_SENT:
        print_note("Stored. It was not sent to the broker yet: that happens when the broker is back.")
    return task


@contextmanager
def watch_reasons(client: Client, task_id: str, show: Callable[[str], None]) -> Iterator[None]:
    """Show each new reason why a task waits, until a worker starts it."""
    ended = threading.Event()

    def look() -> None:
        shown = ""
        while not ended.wait(_FOLLOWING_PAUSE):
            try:
                task = client.get(task_id)
            except ClientError:
                continue
            if task.status not in _NOT_STARTED:
                return
            reason = "" if task.waiting is None else task.waiting.message
            if reason and reason != shown:
                show(f"Waiting: {reason}")
            shown = reason

    thread = threading.Thread(target=look, name="reasons", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
