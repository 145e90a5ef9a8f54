"""Composition root of a worker's processes: builds settings, agents, shared memory and the domain's parts at first use.

A worker has a main process, which must hold no connection when it forks, and pool children, which must not use a
connection that they inherited. So everything with a connection is stored under the id of the process that built it.
"""

from __future__ import annotations

import functools
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from billiard.process import current_process

from swallowtail.app.core.config.settings import Settings, load_settings
from swallowtail.app.core.deployment_identity import join
from swallowtail.app.core.ledger.runs import RunWriter
from swallowtail.app.core.runtime import Runtime
from swallowtail.app.core.security.message_signing import MessageSigner
from swallowtail.workers.registry.catalogue import load_agents
from swallowtail.workers.registry.declaration import AgentSpec
from swallowtail.workers.run.shared_memory import RunSlot, SharedMemory

_runtimes: dict[int, Runtime] = {}


@functools.cache
def settings() -> Settings:
    """Return the settings of this process."""
    return load_settings()


@functools.cache
def deployment_settings() -> Settings:
    """Return the settings with the names that the database stores. Raises SettingsError, Unavailable."""
    return join(settings())


@functools.cache
def agents() -> dict[str, AgentSpec]:
    """Return the agents by kind. The main process loads them before it forks, so that no child has to."""
    return load_agents(settings())


@functools.cache
def signer() -> MessageSigner:
    """Return what checks the signatures of wake-up messages."""
    return MessageSigner(settings(), is_strict=settings().sign_messages)


@functools.cache
def shared_memory() -> SharedMemory:
    """Return the memory that this worker's processes share. The main process creates it before it forks."""
    return SharedMemory()


def slot() -> RunSlot:
    """Return the slot of this pool child in the shared memory."""
    return shared_memory().slot(getattr(current_process(), "index", 0))


def pid_namespace() -> str:
    """Return the namespace of process ids: containers may share a host name and each count from 1."""
    return f"{os.stat('/proc/self/ns/pid').st_ino if os.path.exists('/proc/self/ns/pid') else 0:x}"


def worker_id(pid: int) -> str:
    """Return the id that the worker with this main process is registered by."""
    return f"{socket.gethostname()}:{pid_namespace()}:{pid}"


def runtime() -> Runtime:
    """Return the domain's parts in this process."""
    current = _runtimes.get(os.getpid())
    if current is None:
        current = Runtime.build(deployment_settings())
        _runtimes.clear()
        _runtimes[os.getpid()] = current
    return current


def close_runtime() -> None:
    """Close the connections of this process."""
    current = _runtimes.pop(os.getpid(), None)
    if current is not None:
        current.close()


@contextmanager
def short_lived_runtime() -> Iterator[Runtime]:
    """Yield a runtime for the main process, which soon raises Unavailable when the database is away: the pool waits."""
    patience = min(settings().database_wait, 2 * settings().heartbeat_seconds)
    patient = deployment_settings().model_copy(update={"database_wait": patience})
    # The pool forks soon: a lock that another thread holds would stay locked in the child.
    short = Runtime.build(patient, has_publisher_thread=False)
    _runtimes[os.getpid()] = short
    try:
        yield short
    finally:
        close_runtime()


def heartbeat_writer(full: Runtime) -> RunWriter:
    """Return a run writer on the connections of `full` that times out within a heartbeat: the next one follows soon."""
    wait = min(full.settings.database_wait, full.settings.heartbeat_seconds)
    return RunWriter(full.unit, full.settings, wait=wait)
