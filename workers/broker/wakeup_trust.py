"""Decides whether a wake-up message was sent by this deployment, and which time limits its run gets."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from swallowtail.app.core.ledger.outbox import RUN_TASK, choose_limits
from swallowtail.app.core.security.message_signing import wakeup
from swallowtail.workers.runtime.worker_runtime import agents, settings, signer

Limits = Sequence[float | None]


def is_trusted(args: Sequence[Any], message_id: str, limits: Limits) -> bool:
    """Return whether a wake-up carries a valid signature; without signatures, every wake-up is trusted."""
    if not signer().is_strict:
        return True
    match args:
        case [str() as task_id, int() as attempt, str() as mark]:
            return signer().is_ours(RUN_TASK, wakeup(task_id, attempt, message_id, limits), mark)
    return False


def choose_time_limits(limits: Limits) -> list[float | None]:
    """Return the hard and the soft time limit of a run: those of the message if it is signed, else the nearest known.

    Otherwise any program that writes to the queue could end a run at once or let it run for ever.
    """
    hard, _ = limits
    if signer().is_strict:
        return list(limits)
    known = known_time_limits()
    nearest: tuple[int, int] = known[0] if hard is None else min(known, key=lambda pair: abs(pair[0] - hard))
    return [*nearest]


@functools.cache
def known_time_limits() -> list[tuple[int, int]]:
    """Return the hard and soft time limits of this worker's runs, in seconds: the settings' first, then each agent's."""
    own = [(spec.soft_time_limit, spec.hard_time_limit) for spec in agents().values()]
    return [choose_limits(settings(), *pair) for pair in [(None, None), *own]]
