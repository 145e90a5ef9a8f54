"""Checks at start that the installed libraries have the private names that this program uses."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import version
from inspect import getmro, isfunction
from typing import Any

from swallowtail.app.core.errors import SettingsError

#: Private and undocumented names by distribution and by the class that has them, as attribute or set by a method.
INTERNALS = {
    "alembic": {"alembic.script.ScriptDirectory": "_upgrade_revs"},
    "gevent": {"gevent.pywsgi.WSGIHandler": "_sendall", "gevent.socket.socket": "_sock"},
    "kombu": {
        "kombu.transport.redis.Channel": "_brpop_read _put _q_for_pri _queue_bind _receive _restore _size",
        "kombu.transport.virtual.Message": "_decoded_cache _raw",
    },
    "python-engineio": {
        "engineio.Server": (
            "_cors_headers _get_socket _handle_connect _ok _service_task _trigger_event _unauthorized _upgrades "
            "disconnect generate_id get_queue_empty_exception handle_request handlers max_http_buffer_size "
            "ping_interval ping_interval_grace_period ping_timeout reason service_task_event service_task_handle "
            "sockets start_background_task start_service_task transports"
        ),
        "engineio.socket.Socket": (
            "_upgrade_websocket _websocket_handler check_ping_timeout close closed closing connected "
            "handle_get_request last_ping queue receive schedule_ping send session upgraded upgrading"
        ),
    },
    "python-socketio": {
        "socketio.RedisManager": "_handle_emit _listen _publish _redis_connect _thread",
        "socketio.Server": "_handle_connect _handle_eio_connect _handle_event _send_packet eio packet_class",
    },
    "redis": {"redis.Connection": "_sock"},
    "SQLAlchemy": {"sqlalchemy.pool.QueuePool": "_max_overflow"},
}
#: The distributions of each kind of process: those whose private names it uses.
COMMAND = SWEEPER = ("SQLAlchemy",)
RELEASE = ("alembic", "SQLAlchemy")
WEB = ("redis", "SQLAlchemy", "python-engineio", "python-socketio")
WORKER = ("redis", "SQLAlchemy", "kombu")


def check_libraries(*distributions: str) -> None:
    """Raise SettingsError for the first name that one of these distributions lacks."""
    for distribution in distributions:
        for owner, names in INTERNALS[distribution].items():
            if missing := _missing(owner, names.split()):
                installed = f"{distribution} {version(distribution)}"
                raise SettingsError(
                    f"{installed} has no {missing}, which Swallowtail uses: install another version of it"
                )


def _missing(owner: str, names: list[str]) -> str:
    """Return the first name that a class lacks, or the class if it is missing itself."""
    module, _, attribute = owner.rpartition(".")
    try:
        loaded = getattr(import_module(module), attribute)
    except (ImportError, AttributeError):
        return owner
    present = {*_set_by_methods(loaded)}
    return next((f"{owner}.{name}" for name in names if not hasattr(loaded, name) and name not in present), "")


def _set_by_methods(owner: type[Any]) -> Iterator[str]:
    """Yield the names in the methods of a class: the attributes of its objects are among them."""
    for part in getmro(owner):
        for method in vars(part).values():
            if isfunction(method):
                yield from method.__code__.co_names
