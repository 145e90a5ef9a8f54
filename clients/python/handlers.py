"""What a client is told: the methods that a subclass overrides. The last stop on an event's road."""

from __future__ import annotations

from typing import Literal

from .log_position import Payload, StepText

State = Literal["offline", "catching_up", "live"]


class Handlers:
    """All do nothing until overridden. They run one at a time, in the order of events."""

    def handle_connected(self, payload: Payload) -> None:
        """The server greeted us."""

    def handle_disconnected(self, reason: str) -> None:
        """The connection is gone; it comes back by itself unless `disconnect` was called."""

    def handle_subscribed(self, instance_id: str, answer: Payload) -> None:
        """A subscription stands; `answer` is the server's acknowledgement."""

    def handle_unsubscribed(self, instance_id: str) -> None:
        """The server confirmed an `unsubscribe`."""

    def handle_task_update(self, event: Payload) -> None:
        """A task changed its status or made progress: `{instance_id, task_id, type, data, …}`."""

    def handle_execution_step(self, event: Payload) -> None:
        """A step started or ended: `{instance_id, task_id, type, data, …}`."""

    def handle_step_output(self, piece: Payload, stream: StepText) -> None:
        """A step streamed a piece of text; `stream` is all that is known of it."""

    def handle_snapshot(self, instance_id: str, snapshot: Payload) -> None:
        """Forget what was known of the instance: this is its present state, in outline.

        Inputs, results and outputs are not in it: ask for `/api/v1/tasks/<id>` or `/api/v1/tasks/<id>/steps/<step_id>`.
        """

    def handle_revoked(self, instance_id: str, reason: str) -> None:
        """The server will not send this instance to us any more."""

    def handle_token_expiring(self, expires_at: str) -> None:
        """The token expires soon. A function that was given as `token` is asked for another one."""

    def handle_error(self, error: Payload) -> None:
        """Something was refused: `{message, code?}`."""

    def handle_state(self, state: State) -> None:
        """Connection and subscriptions together are now offline, catching up or live."""
