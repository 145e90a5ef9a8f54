"""Redis, the broker and the web process: each fault with its remedy."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import redis

from swallowtail.scripts.doctor.results import CheckResult
from swallowtail.scripts.doctor.services_check import _check_memory, check_message_queue, check_redis, check_web
from tests.harness.servers import RedisServer
from tests.harness.settings import make_settings
from tests.harness.system.ports import free_port


def test_an_absent_embedded_redis_names_the_commands_that_start_it(tmp_path: Path) -> None:
    (result,) = check_redis(make_settings(var_dir=tmp_path))
    assert (result.status, result.check) == ("problem", "Redis")
    assert f"{tmp_path}/redis.sock does not respond" in result.detail
    assert "`swallowtail up`" in result.remedy
    assert "`swallowtail redis`" in result.remedy


def test_an_absent_redis_of_ones_own_names_its_variable_and_not_its_password(tmp_path: Path) -> None:
    (result,) = check_redis(make_settings(var_dir=tmp_path, redis_url="redis://:hunter2hunter2@127.0.0.1:9"))
    assert (result.status, result.remedy) == ("problem", "start it, or correct SWALLOWTAIL_REDIS_URL")
    assert "127.0.0.1:9 does not respond" in result.detail
    assert "hunter2" not in str(result)


def test_an_absent_broker_is_a_problem_and_nothing_is_created(tmp_path: Path) -> None:
    (result,) = check_message_queue(
        make_settings(var_dir=tmp_path / "var", broker_url="amqp://me:secret99@127.0.0.1:9")
    )
    assert (result.status, result.remedy) == ("problem", "start it, or correct SWALLOWTAIL_BROKER_URL")
    assert result.detail == "127.0.0.1:9 does not respond: tasks wait until it does"
    assert not (tmp_path / "var").exists()


@pytest.mark.parametrize(
    ("info", "statuses"),
    [
        ({}, ["ok"]),
        ({"redis_version": "7.2", "maxmemory": 0, "maxmemory_policy": "allkeys-lru"}, ["ok"]),
        ({"redis_version": "7.2", "maxmemory": 100, "maxmemory_policy": "noeviction", "used_memory": 10}, ["ok"]),
        ({"maxmemory": 100, "maxmemory_policy": "allkeys-lru", "used_memory": 10}, ["warning", "ok"]),
        ({"maxmemory": 100, "maxmemory_policy": "noeviction", "used_memory": 95}, ["warning", "ok"]),
    ],
)
def test_a_redis_that_deletes_keys_or_is_full_is_a_warning(info: dict[str, Any], statuses: list[str]) -> None:
    assert [result.status for result in _check_memory("here", info)] == statuses


@pytest.mark.service
def test_a_redis_that_runs_is_fine_as_redis_and_as_broker(redis_server: RedisServer, tmp_path: Path) -> None:
    settings = make_settings(var_dir=tmp_path, redis_url=redis_server.url)
    results = [*check_redis(settings), *check_message_queue(settings)]
    assert [(result.status, result.check) for result in results] == [("ok", "Redis"), ("ok", "clock"), ("ok", "broker")]
    with redis_server.client() as client:
        client.config_set("requirepass", "hunter2hunter2")
    (result,) = check_redis(settings)
    assert result.status == "problem"
    assert "Authentication" in result.detail


def test_a_clock_of_redis_that_differs_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis.Redis, "time", lambda self: (1_000_000, 0))
    monkeypatch.setattr(redis.Redis, "info", lambda self: {"redis_version": "7"})
    results = [*check_redis(make_settings(var_dir=tmp_path))]
    assert [(result.status, result.check) for result in results] == [("ok", "Redis"), ("warning", "clock")]


@contextmanager
def serving(status: int, body: bytes) -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def check_port(port: int, tmp_path: Path) -> CheckResult:
    (result,) = check_web(make_settings(var_dir=tmp_path, port=port))
    return result


def health(status: str, **components: str) -> bytes:
    shown = {name: {"status": state, "detail": "says why"} for name, state in components.items()}
    return json.dumps({"status": status, "components": shown, "process": 1}).encode()


@pytest.mark.parametrize(
    ("code", "body", "status", "part"),
    [
        (200, health("ok", database="ok"), "ok", "is ready"),
        (200, health("degraded", database="ok", broker="degraded"), "warning", "broker says why"),
        (503, health("down", database="down"), "problem", "database says why"),
        (200, b"<h1>It works!</h1>", "problem", "another program has this port"),
        (404, b"{}", "problem", "another program has this port"),
    ],
)
def test_the_answer_of_the_web_process_decides(tmp_path: Path, code: int, body: bytes, status: str, part: str) -> None:
    with serving(code, body) as port:
        result = check_port(port, tmp_path)
    assert (result.status, part in result.detail) == (status, True)


def test_an_absent_web_process_is_a_problem_beside_the_embedded_servers_only(tmp_path: Path) -> None:
    port = free_port()
    result = check_port(port, tmp_path)
    assert (result.status, "`swallowtail web`" in result.remedy) == ("problem", True)
    (elsewhere,) = check_web(make_settings(var_dir=tmp_path, port=port, redis_url="redis://other"))
    assert elsewhere.status == "warning"
