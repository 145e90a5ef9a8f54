"""Watches the tasks of instances over Socket.IO without missing an event when the connection is lost.

    class Printer(TaskWebSocketClient):
        def handle_task_update(self, event):
            print(event["task_id"], event["data"].get("status"), event["data"]["progress"])

        def handle_execution_step(self, event):
            print(event["data"]["agent"], event["data"]["action"], event["data"]["status"])

    client = Printer("http://localhost:8000")
    client.connect()
    client.subscribe("demo")

Needs `python-socketio[client]` and the files beside this one. Each numbered event reaches the handlers once and in
order; after a lost connection the client subscribes again from the last number that it applied. A server without
numbers (section 1 of docs/protocol.md) works too, without that guarantee. All handlers run in one thread of the client;
any thread may call its methods.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from .connection_keeper import ConnectionKeeper, Listener, Timeouts, Token
from .errors import ConnectionFailed
from .handlers import Handlers, State, notify
from .log_position import LogPosition, Payload, Since
from .socket_connection import Receive, Refused, ServerConnection, SocketConnection
from .subscription_book import SubscriptionBook
from .work_queue import WorkQueue


class TaskWebSocketClient(Handlers):
    """Connects, subscribes, and calls the `handle_…` methods, which a subclass overrides."""

    def __init__(
        self,
        url: str,
        *,
        auth: Payload | None = None,
        token: Token | None = None,
        answer_within: float = 10.0,
        retry_after: float = 0.1,
        retry_at_most: float = 5.0,
        make_connection: Callable[[Receive], ServerConnection] = SocketConnection,
    ) -> None:
        """Prepare a client of the server at `url`; the handshake shows `auth`; times are seconds.

        `token` is shown as well. A function is called for it at every connection, and for another one before the one
        shown expires.
        """
        self.url, self.auth = url, auth
        times = Timeouts(answer_within, retry_after, retry_at_most)
        self._threads: list[threading.Thread] = []
        self._queue = WorkQueue()
        post = self._queue.put
        listener = Listener(
            received=lambda connection, name, payload: post(lambda: self._receive(connection, name, payload)),
            lost=lambda connection, reason: post(lambda: self._end(connection, reason)),
            refused=lambda refusal: post(lambda: self._refuse(refusal)),
        )
        self._keeper = ConnectionKeeper(lambda: (self.url, self.auth), token, times, make_connection, listener)
        self._refusal: ConnectionFailed | None = None
        self._changed = threading.Condition()
        self._state: State = "offline"
        self._positions: dict[str, Since | None] = {}
        # Only the thread of the queue uses these.
        self._connection: ServerConnection | None = None
        self._book = SubscriptionBook(self, times, self._emit, post, self._settle)

    # --- Methods to call ----------------------------------------------------------------------------------------------

    def connect(self, timeout: float | None = 10.0) -> None:
        """Connect, and keep connecting after every loss until `disconnect`. With None, do not wait for a connection.

        Raises:
            ConnectionFailed: there was no connection within `timeout` seconds, or the server refuses this client.
        """
        if self._threads and not self._keeper.is_stopping:
            raise RuntimeError("this client is connected already")
        _join(self._threads)
        self._keeper.start()
        self._refusal = None
        targets = (self._keeper.run, lambda: self._queue.run(lambda: self._book.due, self._book.subscribe_due))
        self._threads = [threading.Thread(target=target, name=type(self).__name__, daemon=True) for target in targets]
        for thread in self._threads:
            thread.start()
        if timeout is None:
            return
        with self._changed:
            self._changed.wait_for(lambda: self._state != "offline" or self._refusal is not None, timeout)
            failed = self._state == "offline"
        if failed:
            refusal = self._refusal
            self.disconnect()
            raise refusal or ConnectionFailed(f"no connection to {self.url} within {timeout:g} s")

    def disconnect(self) -> None:
        """Close the connection permanently. Subscriptions are kept for another `connect`."""
        if self._threads and not self._keeper.is_stopping:
            self._keeper.stop()
            self._queue.put(self._close)
            self._queue.stop()
        if threading.current_thread() not in self._threads:  # a handler may call this, but it cannot wait for itself
            _join(self._threads)

    def subscribe(self, instance_id: str, *, since: Since | None = None, snapshot: bool = False) -> None:
        """Watch an instance: from now on; or after `since`; or, with `snapshot`, from its present state."""
        self._queue.put(lambda: self._book.add(instance_id, LogPosition(since, snapshot=snapshot)))

    def unsubscribe(self, instance_id: str) -> None:
        """Stop watching an instance."""
        self._queue.put(lambda: self._book.remove(instance_id))

    def subscribe_task(self, task_id: str) -> None:
        """Watch the text that a task's running steps stream."""
        self._queue.put(lambda: self._book.add_task(task_id))

    def unsubscribe_task(self, task_id: str) -> None:
        """Stop watching a task's text."""
        self._queue.put(lambda: self._book.remove_task(task_id))

    @property
    def state(self) -> State:
        """Whether this client is offline, catching up or live."""
        return self._state

    def position(self, instance_id: str) -> Since | None:
        """Return the last event applied, to continue from in another process."""
        with self._changed:
            return self._positions.get(instance_id)

    def wait_for(self, instance_id: str, seq: int, timeout: float = 30.0) -> None:
        """Wait until an event is handled, such as the one that an HTTP write answered with.

        Raises:
            TimeoutError: it is not handled within `timeout` seconds.
        """

        def is_reached() -> bool:
            last = self._positions.get(instance_id)
            return last is not None and last["seq"] >= seq

        self._wait(is_reached, timeout, f"event {seq} of {instance_id}")

    def wait_until_live(self, timeout: float = 30.0) -> None:
        """Wait until there is a connection and every subscription has caught up. Raises TimeoutError."""
        begun = threading.Event()

        def begin() -> None:
            begun.set()
            self._settle()

        self._queue.put(begin)  # after the subscriptions that were requested before
        self._wait(lambda: begun.is_set() and self._state == "live", timeout, "being live")

    def _wait(self, condition: Callable[[], bool], timeout: float, what: str) -> None:
        if threading.current_thread() in self._threads:
            raise RuntimeError("a handler cannot wait for what only comes after it")
        with self._changed:
            if not self._changed.wait_for(condition, timeout):
                raise TimeoutError(f"{what} did not come within {timeout:g} s")

    # --- The thread of the queue --------------------------------------------------------------------------------------

    def _receive(self, connection: ServerConnection, name: str, payload: Payload) -> None:
        if name == "connect":
            self._begin(connection)
        elif connection is not self._connection:
            return
        elif name == "connected":
            notify(self.handle_connected, payload)
        elif name == "error":
            notify(self.handle_error, payload)
        elif name == "unsubscribed":
            notify(self.handle_unsubscribed, payload["instance_id"])
        elif name == "token_expiring":
            notify(self.handle_token_expiring, payload["expires_at"])
            self._keeper.renew_token(lambda token: self._queue.put(lambda: self._show_token(connection, token)))
        elif name == "step_output":
            self._book.receive_text(payload)
        elif name in ("task_update", "execution_step", "subscribed", "head", "skip", "reset"):
            self._book.receive(name, payload)

    def _begin(self, connection: ServerConnection) -> None:
        if connection is not self._keeper.latest or self._keeper.is_stopping:
            return
        self._connection = connection
        self._keeper.was_accepted = True
        self._book.subscribe_all()
        self._settle()

    def _end(self, connection: ServerConnection, reason: str) -> None:
        if connection is not self._connection:
            return
        self._connection = None
        self._book.suspend()
        self._settle()
        notify(self.handle_disconnected, reason)

    def _close(self) -> None:
        connection = self._connection
        if connection is not None:
            connection.close()
            self._end(connection, "client disconnect")

    def _refuse(self, refusal: Refused) -> None:
        notify(self.handle_error, {"code": "connect_error", "message": str(refusal)})
        with self._changed:
            self._refusal = refusal
            self._changed.notify_all()

    def _show_token(self, connection: ServerConnection, token: str) -> None:
        if connection is self._connection:
            self._emit("refresh_token", {"token": token})

    def _emit(self, name: str, payload: Payload, answer: Callable[..., None] | None = None) -> bool:
        if self._connection is None:
            return False
        self._connection.emit(name, payload, answer)
        return True

    def _settle(self) -> None:
        """Publish positions and state to waiting threads, and a new state to its handler."""
        caught_up: State = "live" if self._book.is_settled else "catching_up"
        state = "offline" if self._connection is None else caught_up
        with self._changed:
            self._positions = self._book.positions
            has_changed = state != self._state
            self._state = state
            self._changed.notify_all()
        if has_changed:
            notify(self.handle_state, state)


def _join(threads: list[threading.Thread]) -> None:
    while threads:
        threads[-1].join()
        threads.pop()
