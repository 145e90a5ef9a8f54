"""Packages import only the third-party libraries that they may use; each control adds one other import."""

from __future__ import annotations

import pytest

from tests.architecture.libraries import third_party
from tests.architecture.source_tree import added, read_tree


def test_packages_import_only_the_libraries_that_they_may_use() -> None:
    assert third_party.find_forbidden_libraries(read_tree()) == []


def test_every_allowed_library_is_used() -> None:
    assert third_party.find_unused_libraries(read_tree()) == []


def test_eventlet_and_gevent_are_imported_only_by_the_files_that_serve_with_them() -> None:
    assert third_party.find_concurrency_libraries(read_tree()) == []


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("workers/run_task.py", "import flask"),
        ("workers/run/context.py", "def late():\n    import engineio"),
        ("workers/run/context.py", "from importlib import import_module\nimport_module('flask')"),
        ("workers/broker/redis_channel.py", "import eventlet"),
        ("app/delivery/access_monitor.py", "from flask import request"),
        ("app/delivery/access_monitor.py", "import socketio"),
        ("app/delivery/redis/subscriber.py", "import socketio"),
        ("app/core/services/tasks.py", "from flask import g"),
        ("app/core/services/tasks.py", "from celery import Celery"),
        ("app/core/ledger/tasks.py", "import kombu"),
        ("app/core/maintenance/sweeper.py", "import eventlet.hubs"),
        ("app/web/pages/views.py", "from celery import Celery"),
        ("app/web/socketio/handlers.py", "import celery"),
        ("app/web/websocket/frames.py", "import engineio"),
        ("scripts/banner.py", "import apiflask"),
        ("clients/python/log_position.py", "import redis"),
    ],
)
def test_an_import_of_another_library_is_found(path: str, code: str) -> None:
    found = added(third_party.find_forbidden_libraries, path, code)
    assert [wrong.split(":")[0] for wrong in found] == [path]


@pytest.mark.parametrize("path", ["app/web/websocket/event_loop.py", "tests/web/conftest.py"])
def test_an_import_of_eventlet_elsewhere_is_found(path: str) -> None:
    assert len(added(third_party.find_concurrency_libraries, path, "import eventlet")) == 1


def test_an_allowance_without_a_use_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(third_party.LIBRARIES, "core.audit", "jsonschema")
    assert third_party.find_unused_libraries(read_tree()) == ["core.audit: jsonschema"]
