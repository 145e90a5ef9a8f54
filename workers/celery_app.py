"""Defines the Celery application of workers and beat, which `workers/program` runs.

`core/ledger/outbox` sends wake-ups to it by name, and `workers/run_task` handles them. The pool is prefork: a run that
blocks can be interrupted by a signal, killed at its hard limit, and lost without affecting other runs.
"""

from __future__ import annotations

# Before any module that defines metrics.
import swallowtail.workers.metrics  # noqa: F401 - for what it does

# isort: split

import logging
import os
import sys
import warnings
from contextlib import suppress
from typing import Any

import click
import structlog
from celery import Celery, signals
from celery.app.amqp import AMQP
from celery.apps import worker as worker_program
from celery.exceptions import SecurityWarning
from celery.utils.nodenames import default_nodename, gethostname, nodename

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.errors import SwallowtailError
from swallowtail.app.core.ledger.agent_cards import register
from swallowtail.app.core.ledger.outbox import broker_settings
from swallowtail.app.core.logs.setup import configure_logging
from swallowtail.app.core.logs.unlogged_output import LineStream, begin, encode_line, shorten
from swallowtail.app.core.process.agents_status import write_status
from swallowtail.app.core.process.library_check import WORKER, check_libraries
from swallowtail.workers.broker.message_check import CheckedConnection
from swallowtail.workers.registry.catalogue import card
from swallowtail.workers.runtime.worker_runtime import (
    agents,
    deployment_settings,
    pid_namespace,
    settings,
    shared_memory,
    short_lived_runtime,
    signer,
)
from swallowtail.workers.sweeper_process import SweeperStep

log = structlog.get_logger(__name__)


class CheckedAMQP(AMQP):
    """Celery's messaging on connections that reconnect quickly and survive any message."""

    Connection = CheckedConnection


def worker_settings(current: Settings) -> dict[str, Any]:
    """Return the whole Celery configuration."""
    return {
        **broker_settings(current),
        "include": ["swallowtail.workers.run_task", "swallowtail.workers.receivers"],
        "result_backend": None,
        "result_accept_content": ["json"],
        # A message leaves the queue when a child starts its run: the ledger finds runs that are lost after that.
        # With late acknowledgement, Celery 5.7 workers exit when Redis restarts.
        "task_acks_late": False,
        "worker_prefetch_multiplier": 1,
        # Only Redis supports this; elsewhere a reserved message is recovered like a lost one.
        "worker_disable_prefetch": not current.broker.startswith(("amqp", "pyamqp")),
        "worker_pool": "prefork",
        "worker_consumer": "swallowtail.workers.broker.message_check:CheckedConsumer",
        "worker_concurrency": current.worker_concurrency,
        "worker_max_tasks_per_child": current.worker_max_runs or None,
        # On a busy machine, children start slowly.
        "worker_proc_alive_timeout": 60.0,
        # Redis may be away for any time.
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        # Late acknowledgement is not used, so this cancels nothing; unset, Celery warns at each lost connection.
        "worker_cancel_long_running_tasks_on_connection_loss": True,
        "worker_enable_prefetch_count_reduction": False,
        # A cold shutdown ends runs at once: other workers continue them after their last finished step.
        "worker_soft_shutdown_timeout": 0.0,
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
        "worker_send_task_events": False,
        "timezone": "UTC",
    }


def write_shutdown_message(text: str, stream: object = None) -> None:
    """Write Celery's messages about a shutdown as lines of JSON."""
    with suppress(OSError):
        for line in filter(str.strip, text.splitlines()):
            os.write(1, encode_line(line, "celery", logging.WARNING).encode())


def build() -> Celery:
    """Return the application; an invalid setting ends the process with one line."""
    begin()
    # `prepare` reports a worker of the superuser, in one line.
    warnings.simplefilter("ignore", SecurityWarning)
    # Celery prints the second in its own way.
    shorten(click.UsageError, click.NoSuchOption)
    if isinstance(sys.stdout, LineStream):
        # Celery writes shutdown messages to the file descriptor, since it may be in a signal handler; so does this.
        setattr(worker_program, "safe_say", write_shutdown_message)  # noqa: B010 - typed as another function
    try:
        check_libraries(*WORKER)
        conf = worker_settings(settings())
        # A missing key is reported now, not at the first message.
        signer()
    except SwallowtailError as error:
        sys.exit(f"swallowtail: {error.message}")
    app = Celery("swallowtail", amqp=CheckedAMQP)
    app.conf.update(conf)
    app.steps["worker"].add(SweeperStep)
    app.on_after_finalize.connect(drop_builtin_tasks)
    return app


def drop_builtin_tasks(sender: Celery, **_: object) -> None:
    """Remove Celery's own tasks: we use none of them, and any program that writes to the queue could run them."""
    for name in [name for name in sender.tasks if name.startswith("celery.")]:
        sender.tasks.unregister(name)


celery_app = build()


@signals.celeryd_init.connect
def name_worker(instance: Any, conf: Any, **_: object) -> None:
    """Name a worker and its queue. The queue's name is in the database, which an import must not need."""
    # Of two workers with one name, the second gets no control messages.
    if instance.hostname == default_nodename(""):
        instance.hostname = nodename(f"celery-{pid_namespace()}-{os.getpid()}", gethostname())
    try:
        conf.update(broker_settings(deployment_settings()))
    except SwallowtailError as error:
        sys.exit(f"swallowtail: {error.message}")


@signals.setup_logging.connect
def set_up_logging(**_: object) -> None:
    """Configure logging as in our other processes, instead of by Celery's options."""
    configure_logging(settings())


def report_agents(error: str | None) -> None:
    """Under `swallowtail dev`, report to the supervisor and the pages whether the agents could be loaded."""
    if settings().dev:
        write_status(settings().var, error)


@signals.worker_init.connect
def prepare(sender: Any, **_: object) -> None:
    """Before the pool forks: refuse an unsupported pool, load the agents and publish their cards."""
    configure_logging(settings())
    if "prefork" not in sender.pool_cls.__module__:
        sys.exit("swallowtail: only the prefork pool is supported; leave out --pool")
    # Created before the fork, so that the children share it.
    shared_memory()
    try:
        cards = [card(spec) for spec in agents().values()]
        with short_lived_runtime() as short:
            register(short.db, cards)
        report_agents(None)
    except SwallowtailError as error:
        report_agents(error.message)
        sys.exit(f"swallowtail: {error.message}")
    except Exception:
        # The signal would only log this, and the worker would continue without agents.
        log.exception("worker_not_prepared", hint="was the release command run?")
        sys.exit(1)
    if os.geteuid() == 0:
        log.info("worker_runs_as_root", advice="agents may change anything here; give workers a user of their own")
    log.info("worker_prepared", agents=[entry.kind for entry in cards])
