"""The Celery application of workers and beat: `celery -A swallowtail.workers.celery_app worker`.

On the road between `core/ledger/outbox`, which sends by name, and `workers/run_task`. The pool is prefork: a run that blocks
can then be interrupted by a signal, killed at its hard limit, and lost without taking others with it.
"""

from __future__ import annotations

# Before whatever counts is imported.
import swallowtail.workers.metrics  # noqa: F401 - for what it does

# isort: split

import logging
import os
import sys
from contextlib import suppress
from typing import Any

import click
import structlog
from celery import Celery, signals
from celery.app.amqp import AMQP
from celery.apps import worker as worker_program
from celery.utils.nodenames import default_nodename, gethostname, nodename

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.errors import SwallowtailError
from swallowtail.app.core.ledger.agent_cards import register
from swallowtail.app.core.ledger.outbox import broker_settings
from swallowtail.app.core.logs.setup import configure_logging
from swallowtail.app.core.logs.unlogged_output import LineStream, begin, encode_line, shorten
from swallowtail.workers.broker.message_check import IntakeConnection
from swallowtail.workers.registry.catalogue import card
from swallowtail.workers.sweeper_process import ReaperStep
from swallowtail.workers.worker_runtime import agents, board, brief_runtime, find_space, named, settings, voucher

log = structlog.get_logger(__name__)


class IntakeAMQP(AMQP):
    """Celery's messaging on connections that come back soon and take no harm from what they carry."""

    Connection = IntakeConnection


def worker_settings(chosen: Settings) -> dict[str, Any]:
    """Return the whole Celery configuration (design decision 7)."""
    return {
        **broker_settings(chosen),
        "include": ["swallowtail.workers.run_task", "swallowtail.workers.receivers"],
        "result_backend": None,
        "result_accept_content": ["json"],
        # A message is taken off the queue when a child starts on it: what is lost after that, the ledger finds again.
        # With late acknowledgement, Celery 5.7 workers end when Redis restarts.
        "task_acks_late": False,
        "worker_prefetch_multiplier": 1,
        # Only Redis can do without; elsewhere a reserved message is found again like a lost one.
        "worker_disable_prefetch": not chosen.broker.startswith(("amqp", "pyamqp")),
        "worker_pool": "prefork",
        "worker_consumer": "swallowtail.workers.broker.message_check:IntakeConsumer",
        "worker_concurrency": chosen.worker_concurrency,
        "worker_max_tasks_per_child": chosen.worker_max_runs or None,
        # Children of a busy machine take their time to start.
        "worker_proc_alive_timeout": 60.0,
        # Redis may be away for as long as it likes.
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        # Late acknowledgement is not used, so this cancels nothing; unset, Celery warns at each lost connection.
        "worker_cancel_long_running_tasks_on_connection_loss": True,
        "worker_enable_prefetch_count_reduction": False,
        # A cold shutdown is cold: runs go on elsewhere from their last finished step.
        "worker_soft_shutdown_timeout": 0.0,
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
        "worker_send_task_events": False,
        "timezone": "UTC",
    }


def say_safely(text: str, stream: object = None) -> None:
    """Write what Celery says of a shutdown as lines of JSON."""
    with suppress(OSError):
        for line in filter(str.strip, text.splitlines()):
            os.write(1, encode_line(line, "celery", logging.WARNING).encode())


def build() -> Celery:
    """Return the application; a setting that cannot be used ends the process with one line."""
    begin()
    # Celery has a way of its own of showing the latter.
    shorten(click.UsageError, click.NoSuchOption)
    if isinstance(sys.stdout, LineStream):
        # Celery writes of shutdowns past every stream, as this does: it may be in the middle of a signal.
        setattr(worker_program, "safe_say", say_safely)  # noqa: B010 - a checker knows it as another function
    try:
        chosen = settings()
        # A key that is missing shows now, and not at the first message.
        voucher()
    except SwallowtailError as wrong:
        sys.exit(f"swallowtail: {wrong.message}")
    made = Celery("swallowtail", amqp=IntakeAMQP)
    made.conf.update(worker_settings(chosen))
    made.steps["worker"].add(ReaperStep)
    made.on_after_finalize.connect(drop_builtin_tasks)
    return made


def drop_builtin_tasks(sender: Celery, **_: object) -> None:
    """Take Celery's own tasks away: nothing of ours uses them, and whoever writes to the queue could have them run."""
    for name in [name for name in sender.tasks if name.startswith("celery.")]:
        sender.tasks.unregister(name)


celery_app = build()


@signals.celeryd_init.connect
def name_node(instance: Any, **_: object) -> None:
    """Give a worker that nobody named a name of its own: of two with one name, the second gets no mailbox."""
    if instance.hostname == default_nodename(""):
        instance.hostname = nodename(f"celery-{find_space()}-{os.getpid()}", gethostname())


@signals.celeryd_init.connect
def name_queue(conf: Any, **_: object) -> None:
    """Have a worker take from its deployment's queue, whose name is in the database: an import must not need that."""
    try:
        conf.update(broker_settings(named()))
    except SwallowtailError as wrong:
        sys.exit(f"swallowtail: {wrong.message}")


@signals.setup_logging.connect
def set_up_logging(**_: object) -> None:
    """Log as every process of ours does, whatever Celery's flags say."""
    configure_logging(settings())


@signals.worker_init.connect
def prepare(sender: Any, **_: object) -> None:
    """Before the pool forks: refuse a pool that cannot work, load the agents and publish their cards."""
    configure_logging(settings())
    if "prefork" not in sender.pool_cls.__module__:
        sys.exit("swallowtail: only the prefork pool is supported; leave out --pool")
    # Before the pool forks, so that its children have the same.
    board()
    try:
        cards = [card(spec) for spec in agents().values()]
        with brief_runtime() as brief:
            register(brief.db, cards)
    except SwallowtailError as wrong:
        sys.exit(f"swallowtail: {wrong.message}")
    except Exception:
        # A signal would only log this, and the worker would go on without agents.
        log.exception("worker_not_prepared", hint="was the release command run?")
        sys.exit(1)
    log.info("worker_prepared", agents=[entry.kind for entry in cards])
