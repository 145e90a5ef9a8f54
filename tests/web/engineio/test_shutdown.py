"""An application that is closed in a process that continues leaves no threads running."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from swallowtail.app.core.config.settings import Settings
from tests.conformance.line import read_open
from tests.harness.servers import RedisServer
from tests.harness.settings import make_settings
from tests.harness.waiting import wait_until
from tests.web.app_fixture import WebApp, expect_json

POLLING = "/socket.io/?EIO=4&transport=polling"


def use_and_close(settings: Settings, before: set[threading.Thread]) -> Callable[[], list[str]]:
    """Connect clients by long polling, submit a task, and close; return the names of the threads that are left."""
    web_app = WebApp(settings)
    web_app.create_instance("acme")
    for _ in range(3):
        sid = read_open(web_app.client.get(POLLING).text)["sid"]
        address = f"{POLLING}&sid={sid}"
        assert web_app.client.post(address, data="40").text == "ok"
        assert "40{" in web_app.client.get(address).text
    expect_json(web_app.post("/instances/acme/tasks", {"kind": "brief", "input": {"text": "Hello"}}), 201)
    assert set(threading.enumerate()) - before
    web_app.close()
    return lambda: [thread.name for thread in threading.enumerate() if thread not in before]


def assert_no_thread_is_left(left: Callable[[], list[str]]) -> None:
    wait_until(lambda: not left(), "every thread has ended", seen=left)


def test_no_thread_is_left_without_redis(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    assert_no_thread_is_left(use_and_close(make_settings(var_dir=tmp_path, async_mode="threading"), before))


@pytest.mark.service
def test_no_thread_is_left_with_redis(tmp_path: Path, redis_server: RedisServer) -> None:
    before = set(threading.enumerate())
    more: dict[str, Any] = {"auth": "open", "redis_url": redis_server.url}
    settings = make_settings(var_dir=tmp_path, async_mode="threading", **more)
    assert_no_thread_is_left(use_and_close(settings, before))
