"""The methods that a subclass of the client overrides to receive events."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Literal

from .log_position import Payload, StepText

log = logging.getLogger(__name__)

State = Literal["offline", "catching_up", "live"]


class Handlers:
    """All do nothing until overridden. They run one at a time, in the order of events."""

    def handle_connected(self, payload: Payload) -> None:
        """The server confirmed the connection."""

    def handle_disconnected(self, reason: str) -> None:
        """The connection is lost; the client reconnects automatically unless `disconnect` was called."""

    def handle_subscribed(self, instance_id: str, answer: Payload) -> None:
        """The server accepted a subscription; `answer` is its acknowledgement."""

    def handle_refused(self, instance_id: str, error: Payload) -> None:
        """The server refused a subscription, which ends it; `handle_error` was called before."""

    def handle_unsubscribed(self, instance_id: str) -> None:
        """The server confirmed an `unsubscribe`."""

    def handle_task_update(self, event: Payload) -> None:
        """A task changed its status or made progress: `{instance_id, task_id, type, data, …}`."""

    def handle_execution_step(self, event: Payload) -> None:
        """A step started or ended: `{instance_id, task_id, type, data, …}`."""

    def handle_step_output(self, piece: Payload, stream: StepText) -> None:
        """A step streamed a piece of text; `stream` is the text so far."""

    def handle_snapshot(self, instance_id: str, snapshot: Payload) -> None:
        """Replace everything known about the instance by its present state.

        It holds no inputs, results and outputs: read them from `/api/v1/tasks/<id>` and
        `/api/v1/tasks/<id>/steps/<step_id>`.
        """

    def handle_revoked(self, instance_id: str, reason: str) -> None:
        """The server sends no more events of this instance to this client."""

    def handle_token_expiring(self, expires_at: str) -> None:
        """The token expires soon. The client calls its token function for another one."""

    def handle_error(self, error: Payload) -> None:
        """The server refused a request: `{message, code?}`."""

    def handle_state(self, state: State) -> None:
        """Connection and subscriptions together are now offline, catching up or live."""


def notify(handler: Callable[..., None], *arguments: object) -> None:
    """Call a handler. An exception in it is logged and does not stop later events."""
    try:
        handler(*arguments)
    except Exception:
        log.exception("%s failed", handler.__name__)
