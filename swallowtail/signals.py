"""The public signals: what happens to tasks, sent in the process in which it happens.

Every committed event, progress update and piece of text passes here, whichever process wrote it: web, beat, sweeper,
command line or worker. `signal.connect(receiver)` calls `receiver(sender, **payload)` for each; the sender stands for
the process's database. Receivers run in the thread that wrote: they should be quick. Connect a method or a closure with
`weak=False`, or keep a reference to it, since signals hold receivers weakly.
"""

from __future__ import annotations

import logging
from typing import Any

from swallowtail.extras import requires_extra

with requires_extra("swallowtail.signals"):
    from blinker import Signal

log = logging.getLogger(__name__)

#: A transaction committed numbered events of one instance. Payload: `events`, in the order of their numbers.
event_recorded = Signal()
#: A run made progress inside a step. Payload: `state`, a LiveState.
progressed = Signal()
#: A step's streamed text grew. Payload: `text`, a `TextPiece`.
text_produced = Signal()
#: A step was opened. Payload: `claim`, `key`, `agent`, `action`, `tries`.
step_started = Signal()
#: A step ended. Payload: `claim`, `key`, `status` (completed, failed or skipped).
step_finished = Signal()


def send(signal: Signal, sender: object, **payload: Any) -> None:
    """Call every receiver of a signal. A receiver that raises is logged and stops neither the others nor the caller."""
    for receiver in signal.receivers_for(sender):
        try:
            receiver(sender, **payload)
        except Exception:
            log.exception("signal_receiver_failed")
