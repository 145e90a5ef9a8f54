"""Private names of libraries are used in listed files and checked at start; the controls break these rules."""

from __future__ import annotations

import sys

import pytest

from swallowtail.app.core.process.library_check import INTERNALS
from tests.architecture.libraries import library_internals
from tests.architecture.source_tree import added, read_tree


def test_private_names_of_libraries_are_used_in_the_listed_files() -> None:
    assert library_internals.find_internals(read_tree()) == []


def test_the_check_at_start_lists_every_private_name_that_is_used() -> None:
    assert library_internals.find_unchecked_names(read_tree()) == []


def test_every_name_that_the_check_lists_is_used() -> None:
    assert library_internals.find_unused_names(read_tree()) == []


def test_every_listed_file_uses_private_names() -> None:
    using = {source.path for source in read_tree().python() if library_internals.uses(source)}
    assert [file for file in library_internals.FILES if not any(path.startswith(file) for path in using)] == []


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("app/web/pages/views.py", "def f(server): server._trigger_event('message')"),
        ("app/web/socketio/receipts.py", "def f(server): server._send_packet('a', 1)"),
        ("app/web/api/tasks.py", "def f(web): web.sessions.server.eio.clear()"),
        ("app/web/api/tasks.py", "def f(server): getattr(server, '_handle_event')(1)"),
        ("app/web/factory.py", "def f(server): setattr(server, '_handle_connect', f)"),
        ("app/web/websocket/frames.py", "from engineio.static_files import get_static_file"),
        ("app/web/pages/views.py", "import socketio\nclass A(socketio.RedisManager):\n    def _thread(self): ..."),
        (
            "app/web/pages/views.py",
            "import socketio\nclass A(socketio.Server):\n    def f(self): self._send_packet(1, 2)",
        ),
        ("app/core/services/tasks.py", "def f(pubsub): return pubsub.connection._sock"),
        ("app/core/services/tasks.py", "def f(pubsub): return pubsub.connection.read_response()"),
        (
            "app/core/services/tasks.py",
            "import redis\nclass A(redis.Connection):\n    def f(self): return self._sock",
        ),
        ("app/core/ledger/outbox.py", "from kombu.transport.virtual import base"),
        ("app/core/ledger/outbox.py", "from kombu.transport import redis"),
        ("workers/run_task.py", "def f(message): message._decoded_cache = None"),
        ("app/web/serving/listener.py", "import eventlet.green.socket"),
        ("app/web/serving/listener.py", "from flask_socketio import _ManagedSession"),
        ("app/wsgi.py", "def f():\n    from eventlet import hubs\n    hubs.get_hub()"),
        ("app/wsgi.py", "import eventlet.wsgi\ndef f(): eventlet.wsgi.WSGI_LOCAL = None"),
        ("app/wsgi.py", "from eventlet.wsgi import STATE_IDLE"),
        ("app/wsgi.py", "import eventlet as e\nclass A:\n    def f(self): self.q = e.Queue(); self.q.getters.clear()"),
        (
            "app/wsgi.py",
            "from eventlet import wsgi\nclass A(wsgi.HttpProtocol):\n    def _read_request_line(self): ...",
        ),
        ("app/web/factory.py", "def f(sessions): sessions.server.manager.stop()"),
        (
            "app/web/pages/views.py",
            "import socketio\nclass A(socketio.RedisManager):\n    def f(self): self.pending_connect = {}",
        ),
        ("app/web/pages/views.py", "import redis\nclass A(redis.Connection):\n    def on_connect(self): ..."),
        ("app/web/serving/listener.py", "def f(hub): hub.schedule_call_global(1, f)"),
        ("app/web/serving/listener.py", "def f(environ): return environ['wsgi.input'].chunk_length"),
        ("app/web/serving/listener.py", "def f(web): web.sessions.find('a').last_ping = 0"),
        (
            "app/web/serving/gevent_server.py",
            "def f(handler):\n    class A(handler):\n        def get_environ(self): return super().get_environ()",
        ),
        ("app/web/container.py", "from flask_socketio import SocketIO\ndef f(s: SocketIO): return s.server"),
        ("app/web/container.py", "import flask_socketio as f\ns = f.SocketIO(None)\nt = s\nt.wsgi_server.stop()"),
        ("bench/peers/stock_server.py", "socketio.server_options.clear()"),
        ("bench/peers/stock_server.py", "wsgi.server(listener, app, protocol=wsgi.HttpProtocol)"),
        ("scripts/processes/up.py", "def f(client): client._get_socket('a')"),
        ("clients/python/handlers.py", "def f(client): client._trigger_event('a')"),
        ("bench/emit.py", "def f(client): client._trigger_event('a')"),
    ],
)
def test_a_private_name_in_another_file_is_found(path: str, code: str) -> None:
    found = added(library_internals.find_internals, path, code)
    assert {wrong.split(":")[0] for wrong in found} == {path}


@pytest.mark.parametrize(
    ("path", "code", "names"),
    [
        ("app/web/engineio/polling.py", "def f(eio): eio._generate_sid_cookie('a', {})", "_generate_sid_cookie"),
        (
            "app/web/socketio/client_manager.py",
            "class A(socketio.RedisManager):\n    def f(self): return self.eio_to_sid",
            "eio_to_sid",
        ),
        ("app/web/serving/eventlet_server.py", "def f(): return hubs.get_hub().listeners", "listeners"),
        ("app/web/serving/eventlet_server.py", "wsgi.WSGI_LOCAL.closed_early = True", "closed_early"),
        ("app/web/serving/eventlet_server.py", "from eventlet.wsgi import Input", "Input"),
        ("app/web/socketio/server.py", "a, b = SocketIO(None), 1\na.handlers, a.async_mode", "async_mode"),
        (
            "app/web/accept/http_server_handlers.py",
            "def f(base):\n    class A(base):\n        def handle_one_response(self): super().handle_one_response()",
            "handle_one_response",
        ),
    ],
)
def test_a_private_name_that_the_check_lacks_is_found(path: str, code: str, names: str) -> None:
    found = added(library_internals.find_unchecked_names, path, code)
    assert [wrong.split()[-1] for wrong in found] == names.split()


def test_a_listed_name_without_a_use_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(INTERNALS["redis"], "redis.Connection", "_sock read_response _parser")
    assert library_internals.find_unused_names(read_tree()) == ["_parser"]


def test_every_shared_name_is_listed_and_needed() -> None:
    assert library_internals.find_idle_exceptions(read_tree()) == []


def test_the_rules_do_not_import_eventlet() -> None:
    """Once imported, it warns at every later fork."""
    assert "eventlet" not in sys.modules


@pytest.mark.parametrize(
    "code",
    [
        "class A:\n    def f(self): return self._own",
        "import os\nos._exit(1)",
        "def f(a): return a.__dict__",
        "import redis\nclass A(redis.Connection):\n    def f(self): return self._swallowtail_own",
        "import eventlet\nqueue = eventlet.Queue()\nqueue.put(1)\neventlet.spawn(queue.get)",
        "from eventlet import tpool, wsgi\ntpool.execute(wsgi.server, 1)",
        "def f(server): return server.get_environ('a'), server.start_background_task(f)",
        "from flask_socketio import SocketIO\ns = SocketIO(None)\ns.on('a')",
    ],
)
def test_other_names_are_not_found(code: str) -> None:
    assert added(library_internals.find_internals, "app/web/pages/views.py", code) == []
