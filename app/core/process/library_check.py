"""Checks at start that the installed libraries have the private names that this program uses."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from inspect import isfunction
from pkgutil import resolve_name

from swallowtail.app.core.errors import SettingsError

#: Private and undocumented names by distribution and by the module or class that has them. Those of a class are
#: attributes, or its methods use them. What a library's guide or reference describes is not listed;
#: `tests/architecture/libraries/library_internals.py` and `undocumented_names.py` say what counts as documented.
INTERNALS = {
    "Flask-SocketIO": {"flask_socketio.SocketIO": "server"},
    "SQLAlchemy": {"sqlalchemy.pool.QueuePool": "_max_overflow"},
    "Werkzeug": {"werkzeug.serving.WSGIRequestHandler": "connection make_environ parse_request raw_requestline"},
    "alembic": {"alembic.script.ScriptDirectory": "_upgrade_revs"},
    "eventlet": {
        "eventlet": "getcurrent greenio",
        "eventlet.greenio": "GreenSocket",
        "eventlet.greenio.GreenSocket": "fd",
        "eventlet.hubs": "get_hub",
        "eventlet.hubs.hub.BaseHub": "READ add clock schedule_call_global switch",
        "eventlet.hubs.timer.Timer": "cancel",
        "eventlet.patcher": "original",
        "eventlet.wsgi": "HttpProtocol WSGI_LOCAL",
        "eventlet.wsgi.HttpProtocol": "already_handled connection get_environ parse_request raw_requestline",
        "eventlet.wsgi.Input": "chunk_length chunked_input content_length position",
    },
    "gevent": {
        "gevent.pywsgi.Input": "chunk_length chunked_input content_length position",
        "gevent.pywsgi.WSGIHandler": "_sendall wsgi_input",
        "gevent.socket.socket": "_sock",
    },
    "kombu": {
        "kombu.transport.redis.Channel": (
            "_brpop_read _put _q_for_pri _queue_bind _receive _restore _size active_queues conn_or_acquire get_table "
            "keyprefix_queue priority_steps sep state"
        ),
        "kombu.transport.redis.QoS": "restore_unacked",
        "kombu.transport.virtual.Message": "_decoded_cache _raw",
    },
    "python-engineio": {
        "engineio.Server": (
            "_cors_headers _get_socket _handle_connect _ok _service_task _trigger_event _unauthorized _upgrades "
            "disconnect generate_id get_queue_empty_exception handle_request handlers max_http_buffer_size "
            "ping_interval ping_interval_grace_period ping_timeout reason service_task_event service_task_handle "
            "sockets start_background_task start_service_task transports"
        ),
        "engineio.packet.Packet": "data",
        "engineio.socket.Socket": (
            "_upgrade_websocket _websocket_handler check_ping_timeout close closed closing connected "
            "handle_get_request last_ping queue receive schedule_ping send session sid upgraded upgrading"
        ),
    },
    "python-socketio": {
        "socketio.RedisManager": (
            "_handle_emit _listen _publish _redis_connect _thread basic_disconnect basic_enter_room basic_leave_room "
            "callbacks channel connected eio_sid_from_sid is_connected json pending_disconnect redis "
            "sid_from_eio_sid thread"
        ),
        "socketio.Server": (
            "_handle_connect _handle_eio_connect _handle_event _send_packet eio environ manager packet_class"
        ),
        "socketio.packet.Packet": "add_attachment attachment_count data id packet_type",
    },
    "redis": {"redis.Connection": "_sock read_response", "redis.client.PubSub": "connection handle_message"},
}
#: Names that the oldest supported versions lack, by distribution. What uses them does without.
LATER_NAMES = {
    "kombu": "keyprefix_binding_deadlines keyprefix_binding_permanent maybe_refresh_binding_expiry",
    "python-socketio": "pending_connect",
}
#: The distributions of each kind of process: those whose private names it uses.
COMMAND = ("redis", "SQLAlchemy")
SWEEPER = ("SQLAlchemy",)
RELEASE = ("alembic", "SQLAlchemy")
WEB = ("redis", "SQLAlchemy", "python-engineio", "python-socketio", "Flask-SocketIO")
#: The distribution of the server of each `async_mode`; the others need not be installed.
SERVERS = {"eventlet": "eventlet", "gevent": "gevent", "threading": "Werkzeug"}
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
    """Return the first name that a module or class lacks, or the owner if it is missing itself."""
    try:
        loaded = resolve_name(owner)
    except (ImportError, AttributeError):
        return owner
    present = {*_used_by_methods(loaded)}
    return next((f"{owner}.{name}" for name in names if not hasattr(loaded, name) and name not in present), "")


def _used_by_methods(owner: object) -> Iterator[str]:
    """Yield the names in the methods of a class: the attributes of its objects are among them."""
    for part in getattr(owner, "__mro__", ()):
        for method in vars(part).values():
            if isfunction(method):
                yield from method.__code__.co_names
