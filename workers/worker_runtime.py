"""What one process of a worker holds: settings, agents and the domain's parts, each built at its first use.

Beside the road. A worker is a main process, which must hold no connection when it forks, and pool children, which must
not use one that they inherited; so everything with a connection is kept under the id of the process that built it.
"""

from __future__ import annotations

import copy
import functools
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from billiard.process import current_process

from swallowtail.app.core.config.settings import Settings, load_settings
from swallowtail.app.core.deployment import join
from swallowtail.app.core.events import EventRecord
from swallowtail.app.core.ledger.outbox import RUN_TASK, choose_limits
from swallowtail.app.core.ledger.runs import RunLedger
from swallowtail.app.core.ledger.tasks import Ledger
from swallowtail.app.core.runtime import Runtime
from swallowtail.app.core.security.message_signing import Voucher, wakeup
from swallowtail.workers.registry.catalogue import AgentSpec, load_agents
from swallowtail.workers.run.shared_memory import Board, Slot
from swallowtail.workers.signals import event_recorded

_held: dict[int, Runtime] = {}


@functools.cache
def settings() -> Settings:
    """The settings of this process."""
    return load_settings()


@functools.cache
def named() -> Settings:
    """The settings with the names of the deployment, which the database knows. Raises SettingsError, Unavailable."""
    return join(settings())


@functools.cache
def agents() -> dict[str, AgentSpec]:
    """The agents by kind. The main process loads them before it forks, so that a new child need not."""
    return load_agents(settings())


@functools.cache
def voucher() -> Voucher:
    """What tells wake-up messages of ours from others."""
    return Voucher(settings(), is_strict=settings().sign_messages)


@functools.cache
def board() -> Board:
    """What this worker's processes share. The main process makes it before it forks."""
    return Board()


def find_space() -> str:
    """Name what process ids are counted in: containers may share a host's name, and each begins to count anew."""
    return f"{os.stat('/proc/self/ns/pid').st_ino if os.path.exists('/proc/self/ns/pid') else 0:x}"


def slot() -> Slot:
    """This pool child's part of the board."""
    return board().slot(getattr(current_process(), "index", 0))


def is_vouched(args: Sequence[Any], name: str, limits: Sequence[float | None]) -> bool:
    """Tell whether a wake-up with these arguments, name and time limits is ours, as far as that is asked for."""
    if not voucher().is_strict:
        return True
    match args:
        case [str() as task_id, int() as attempt, str() as mark]:
            return voucher().is_ours(RUN_TASK, wakeup(task_id, attempt, name, limits), mark)
    return False


def settle_limits(limits: Sequence[float | None]) -> list[float | None]:
    """Return the hard and the soft time limit of a run: without marks, of those that runs have here the nearest.

    Whoever writes to the queue could end any run at once otherwise, or let it go on for ever.
    """
    hard, _ = limits
    if voucher().is_strict:
        return list(limits)
    usual = time_limits()
    nearest: tuple[int, int] = usual[0] if hard is None else min(usual, key=lambda own: abs(own[0] - hard))
    return [*nearest]


@functools.cache
def time_limits() -> list[tuple[int, int]]:
    """The hard and the soft time limits of runs in this worker, in seconds: the settings' first, then each agent's."""
    own = [(spec.soft_time_limit, spec.hard_time_limit) for spec in agents().values()]
    return [choose_limits(settings(), *pair) for pair in [(None, None), *own]]


def runtime() -> Runtime:
    """The domain's parts in this process; whatever they record is sent as the signal `event_recorded`."""
    held = _held.get(os.getpid())
    if held is None:
        held = Runtime.build(named(), announce=announce)
        _held.clear()
        _held[os.getpid()] = held
    return held


def forget() -> None:
    """Close what this process holds."""
    held = _held.pop(os.getpid(), None)
    if held is not None:
        held.close()


@contextmanager
def brief_runtime() -> Iterator[Runtime]:
    """The same for the main process: impatient, since it must not keep the pool waiting, and closed at the end.

    Raises:
        Unavailable: the database stayed away for a heartbeat or two; the sweep will find what was to be told.
    """
    patience = min(settings().database_wait, 2 * settings().heartbeat_seconds)
    brief = Runtime.build(named().model_copy(update={"database_wait": patience}), announce=announce)
    _held[os.getpid()] = brief
    try:
        yield brief
    finally:
        forget()


def impatient(full: Runtime) -> RunLedger:
    """A second hold on the ledger of `full`, for heartbeats: it gives up soon, since the next beat is about to come."""
    db = copy.copy(full.db)
    db.wait = min(full.settings.database_wait, full.settings.heartbeat_seconds)
    return RunLedger(Ledger(db, full.settings, full.ledger.announce))


def announce(events: Sequence[EventRecord]) -> None:
    """Tell whoever listens in this process that these events were committed."""
    event_recorded.send(sender=None, events=events)
