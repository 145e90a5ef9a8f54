"""A JavaScript client in a process of its own, and the events that it receives, in order."""

from __future__ import annotations

import json
import subprocess
import threading
from pathlib import Path
from typing import Any, Self

from tests.harness.program import ROOT
from tests.harness.received_events import Inbox, Wire
from tests.harness.services import require


class JsRecorder(Inbox):
    """A client of section 1 by the npm package socket.io-client: websocket only, no reconnection of its own.

    `states` are the connection's own events: connect, disconnect, connect_error.
    """

    def __init__(self, url: str, *, auth: Wire | None = None) -> None:
        super().__init__()
        self.url = url
        self.auth = auth
        self.states: list[str] = []
        self._answers: dict[int, Any] = {}
        script = Path(__file__).with_suffix(".mjs")
        if not (ROOT / "node_modules/socket.io-client").is_dir():
            raise RuntimeError("the JavaScript packages are not installed: run scripts/prepare")
        self._process = subprocess.Popen(
            [require("node"), str(script)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def connect(self, url: str | None = None) -> Self:
        """Connect (to another process, with `url`) and wait for `connected`."""
        self.url = url or self.url
        greeted = self.count("connected")
        self._send(do="connect", url=self.url, auth=self.auth)
        self.wait_until(lambda: self.count("connected") > greeted, "the server says connected")
        return self

    def subscribe(self, instance_id: str) -> None:
        """Subscribe and wait for `subscribed`."""
        self._ask("subscribe_instance", instance_id, "subscribed")

    def unsubscribe(self, instance_id: str) -> None:
        """Unsubscribe and wait for `unsubscribed`."""
        self._ask("unsubscribe_instance", instance_id, "unsubscribed")

    def emit(self, event: str, payload: Any) -> None:
        """Send an event, of any shape, without waiting."""
        self._send(do="emit", event=event, payload=payload)

    def call(self, event: str, payload: Any) -> Any:
        """Send an event and wait for its acknowledgement."""
        number = len(self._answers) + 1
        self._answers[number] = None
        self._send(do="emit", event=event, payload=payload, id=number)
        self.wait_until(lambda: self._answers[number] is not None, f"{event} is acknowledged")
        return self._answers[number]

    def drop(self) -> None:
        """Cut the connection without a goodbye."""
        self._leave("drop")

    def disconnect(self) -> None:
        """Say goodbye and close; `connect` makes a new connection."""
        self._leave("disconnect")

    def close(self) -> None:
        """End the client and its process."""
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

    def __enter__(self) -> Self:
        return self.connect()

    def __exit__(self, *_: object) -> None:
        self.close()

    def _leave(self, how: str) -> None:
        before = self.states.count("disconnect")
        self._send(do=how)
        self.wait_until(lambda: self.states.count("disconnect") > before, "the client sees the connection's end")

    def _ask(self, event: str, instance_id: str, answer: str) -> None:
        before = self.count(answer)
        self.emit(event, {"instance_id": instance_id})
        self.wait_until(lambda: self.count(answer) > before, f"the server says {answer}")

    def _send(self, **command: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            message = json.loads(line)
            if "event" in message:
                self.receive(message["event"], message.get("payload") or {})
            elif "id" in message:
                self._answers[message["id"]] = message["answer"]
            else:
                self.states.append(message["state"])
