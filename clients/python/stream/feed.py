"""The Socket.IO client of a stream: puts what its handlers receive into a mailbox."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from ..handlers import State
from ..log_position import Payload, Since, StepText
from ..rest.results import Event, LiveUpdate, Reset
from ..socket_connection import Receive, ServerConnection
from ..task_websocket_client import TaskWebSocketClient
from .mailbox import Mailbox

#: Makes a connection; tests have one of their own.
MakeConnection = Callable[[Receive], ServerConnection]


@dataclass(frozen=True)
class Refusal:
    """The server sends nothing more, or refuses the connection: a request by REST gets the reason."""

    code: str


class Feed(TaskWebSocketClient):
    """Puts events, live updates and snapshots of one instance into a mailbox, from a position on."""

    def __init__(
        self,
        url: str,
        token: str | Callable[[], str] | None,
        mailbox: Mailbox,
        make_connection: MakeConnection,
        *,
        close_within: float,
    ) -> None:
        """Prepare a feed; `close` waits up to `close_within` seconds for its threads."""
        super().__init__(url, token=token, make_connection=make_connection)
        self.mailbox = mailbox
        self._close_within = close_within
        self._instance = ""
        self._last: Since | None = None
        #: The mailbox is full: events are dropped, and the server sends them again from `_last` on.
        self._is_paused = False
        self._with_live = False
        #: How much of each step's text was put, as (attempt, end).
        self._texts: dict[str, tuple[int, int]] = {}
        #: Why the connection ended, until that was read or there is another one.
        self.lost_by: str | None = None

    def open(self, instance: str, since: Since, *, live: bool) -> None:
        """Begin, and keep trying to connect in the background."""
        self._instance, self._last, self._with_live = instance, since, live
        self.connect(timeout=None)
        self.subscribe(instance, since=since)

    def take(self, timeout: float = 0.0) -> Event | LiveUpdate | Reset | Refusal | None:
        """Return the next item; None if there is none within `timeout` seconds."""
        item: Event | LiveUpdate | Reset | Refusal | None = self.mailbox.take(timeout)
        if self._is_paused and self.mailbox.is_half_empty:
            # After the events that are dropped, in the thread of the client.
            self._queue.put(self._continue)
        return item

    def close(self) -> None:
        """Disconnect, in a thread of its own: a connection that is being opened ends a while later."""
        # No thread can be started while the interpreter ends; the threads of the client end with it.
        with suppress(RuntimeError):
            closing = threading.Thread(target=self.disconnect, name="close", daemon=True)
            closing.start()
            if self._close_within > 0:
                closing.join(self._close_within)

    @property
    def is_live(self) -> bool:
        """Whether events arrive as they happen."""
        state: State = self.state
        return state == "live"

    def handle_disconnected(self, reason: str) -> None:
        """See Handlers."""
        self.lost_by = reason

    def handle_subscribed(self, instance_id: str, answer: Payload) -> None:
        """See Handlers."""
        self.lost_by = None

    def handle_task_update(self, event: Payload) -> None:
        """See Handlers."""
        if "seq" in event:
            self._put_event(event)
        else:
            data = event["data"]
            progress = LiveUpdate(
                event["instance_id"],
                event["task_id"],
                "progress",
                event.get("attempt", 0),
                progress=data.get("progress"),
                message=data.get("message"),
                raw=event,
            )
            self._put_live(progress)

    def handle_execution_step(self, event: Payload) -> None:
        """See Handlers."""
        if "seq" in event:
            self._put_event(event)

    def handle_step_output(self, piece: Payload, stream: StepText) -> None:
        """See Handlers."""
        step_id = piece["step_id"]
        attempt, end = self._texts.get(step_id, (0, -1))
        is_start = attempt != stream.attempt or not stream.start <= end <= stream.end
        end = stream.start if is_start else end
        update = LiveUpdate(
            piece["instance_id"],
            piece["task_id"],
            "text",
            stream.attempt,
            step_id=step_id,
            text=stream.text[end - stream.start :],
            offset=end,
            is_start=is_start,
            raw=piece,
        )
        # Text that finds no room comes with the next piece.
        if self._put_live(update):
            self._texts[step_id] = (stream.attempt, stream.end)

    def handle_snapshot(self, instance_id: str, snapshot: Payload) -> None:
        """See Handlers."""
        self._texts.clear()
        if not self._is_paused:
            self._last = Since(epoch=snapshot["epoch"], seq=snapshot["head"])
            self.mailbox.put(Reset.from_json(snapshot))

    def handle_revoked(self, instance_id: str, reason: str) -> None:
        """See Handlers."""
        self.mailbox.put(Refusal(reason))

    def handle_refused(self, instance_id: str, error: Payload) -> None:
        """See Handlers."""
        self.mailbox.put(Refusal(error.get("code", "error")))

    def handle_error(self, error: Payload) -> None:
        """See Handlers."""
        # The token has expired or is revoked, or no connection is accepted. A refused text is no reason to end.
        if error.get("code") == "connect_error" or "reason" in error:
            self.mailbox.put(Refusal(error["code"]))

    def _put_event(self, event: Payload) -> None:
        if self._is_paused:
            return
        if self.mailbox.is_full:
            self._is_paused = True
            self.unsubscribe(self._instance)
            return
        self._last = Since(epoch=event["epoch"], seq=event["seq"])
        if event["type"] == "execution_step" and event["data"]["status"] != "in_progress":
            self._texts.pop(event["data"]["step_id"], None)
        self.mailbox.put(Event.from_json(event))

    def _put_live(self, update: LiveUpdate) -> bool:
        if not self._with_live or self._is_paused or self.mailbox.is_full:
            return False
        self.mailbox.put(update)
        return True

    def _continue(self) -> None:
        if self._is_paused:
            self._is_paused = False
            self.subscribe(self._instance, since=self._last)
