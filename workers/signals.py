"""How news travels inside a worker: our own signals, and what Celery's propose to the ledger.

On the road between `core/ledger/tasks` and `core/ledger/publisher`. A handler translates and calls; the ledger decides. Receivers
are module-level functions: Celery holds them weakly, and a method or closure would silently be gone. A receiver that
raises is logged by the signal and stops neither the work nor the other receivers.
"""

from __future__ import annotations

from celery.utils.dispatch import Signal

# The two of a step are for whoever wants to observe (logs, metrics); its events travel with `event_recorded`.

#: A step was opened: `claim`, `key`, `agent`, `action`, `tries`.
step_started = Signal(name="step_started", providing_args=["claim", "key", "agent", "action", "tries"])
#: A step ended: `claim`, `key`, `status` (completed, failed, skipped).
step_finished = Signal(name="step_finished", providing_args=["claim", "key", "status"])
#: A run got further inside a step: `state`, a LiveState.
progressed = Signal(name="progressed", providing_args=["state"])
#: A step's text grew: `text`, a StepText.
text_produced = Signal(name="text_produced", providing_args=["text"])
#: A transaction was committed with these numbered events: `events`.
event_recorded = Signal(name="event_recorded", providing_args=["events"])
