"""Drives the client classes of both languages, and records the calls of their handlers."""

from __future__ import annotations

import contextlib
import json
import subprocess
import threading
from pathlib import Path
from typing import Any, Protocol, Self

from swallowtail.client.log_position import Payload
from swallowtail.client.task_websocket_client import TaskWebSocketClient
from tests.harness.program import ROOT
from tests.harness.received_events import Inbox
from tests.harness.services import require


class Subject(Protocol):
    """A client class under test."""

    inbox: Inbox
    #: How often the connection was lost.
    losses: int

    def subscribe(self, instance_id: str, *, snapshot: bool = False) -> None:
        """Subscribe to an instance."""

    def wait_until_live(self) -> None:
        """Wait until every subscription has caught up."""

    def close(self) -> None:
        """End the client."""


class PythonSubject(TaskWebSocketClient):
    """The Python client."""

    def __init__(self, url: str, token_file: Path | None = None) -> None:
        token = None if token_file is None else token_file.read_text
        super().__init__(url, token=token, retry_after=0.05, retry_at_most=0.2)
        self.inbox = Inbox()
        self.losses = 0
        self.connect(timeout=60)

    def handle_task_update(self, event: Payload) -> None:
        self.inbox.receive("task_update", event)

    def handle_execution_step(self, event: Payload) -> None:
        self.inbox.receive("execution_step", event)

    def handle_snapshot(self, instance_id: str, snapshot: Payload) -> None:
        self.inbox.receive("snapshot", snapshot)

    def handle_disconnected(self, reason: str) -> None:
        self.losses += 1

    def handle_error(self, error: Payload) -> None:
        self.inbox.receive("error", error)

    def close(self) -> None:
        """See Subject."""
        self.disconnect()

    def wait_until_live(self, timeout: float = 60.0) -> None:
        """See Subject."""
        super().wait_until_live(timeout)


class JavaScriptSubject:
    """The JavaScript client in a process of its own, driven by JSON lines."""

    def __init__(self, url: str, token_file: Path | None = None) -> None:
        self.inbox = Inbox()
        self.losses = 0
        self._state = "offline"
        self._process = subprocess.Popen(
            [require("node"), str(Path(__file__).with_name("javascript_subject.mjs")), url, str(token_file or "")],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        self.inbox.wait_until(lambda: self._state != "offline", "the client connects")

    def subscribe(self, instance_id: str, *, snapshot: bool = False) -> None:
        """See Subject."""
        # Until the client says otherwise, it has not caught up.
        self._state = "asked"
        self._tell({"subscribe": instance_id, "snapshot": snapshot})

    def wait_until_live(self) -> None:
        """See Subject."""
        self.inbox.wait_until(lambda: self._state == "live", "the client is live")

    def close(self) -> None:
        """See Subject."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._thread.join()
        self._process.stdout.close()

    def _tell(self, command: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            name, payload = json.loads(line)
            if name == "disconnected":
                self.losses += 1
            elif name == "state":
                self._state = payload["state"]
            else:
                self.inbox.receive(name, payload)


SUBJECTS: dict[str, type[PythonSubject] | type[JavaScriptSubject]] = {
    "python": PythonSubject,
    "javascript": JavaScriptSubject,
}


class Closing(contextlib.ExitStack):
    """Subjects that end with the test."""

    def add(self, name: str, url: str, token_file: Path | None = None) -> Subject:
        """Start a client of this kind, with the token in a file if there is one."""
        subject = SUBJECTS[name](url, token_file)
        self.callback(subject.close)
        return subject

    def __enter__(self) -> Self:
        return self
