"""Health and readiness: the state of each component, and the overall status."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import update

from swallowtail.app.core.coordination.worker_registry import announce
from swallowtail.app.core.database.database import db_now
from swallowtail.app.core.tables.tasks import Outbox
from tests.harness.proxies.silent_proxy import SilentWire
from tests.harness.servers import RedisBinary, RedisServer
from tests.harness.settings import make_settings
from tests.harness.waiting import wait_until
from tests.web.app_fixture import Json, WebApp, expect_json


def test_a_process_that_answers_lives(web_app: WebApp) -> None:
    assert expect_json(web_app.client.get("/healthz")) == {
        "status": "ok",
        "components": {"process": {"status": "ok", "detail": "responds to requests"}},
        "process": os.getpid(),
    }


#: The states in a deployment without workers.
WORK = {"broker": "ok", "workers": "degraded", "tasks": "ok", "schedules": "ok"}


def _states(body: Json) -> dict[str, str]:
    return {name: component["status"] for name, component in body["components"].items()}


def test_without_a_running_hub_no_client_gets_events(web_app: WebApp) -> None:
    body = expect_json(web_app.client.get("/readyz"), 503)
    assert body["status"] == "down"
    assert _states(body) == {**WORK, "database": "ok", "hub": "down", "redis": "degraded"}


def test_without_a_database_no_client_gets_events(web_app: WebApp, tmp_path: Path) -> None:
    web_app.web.hub.start()
    web_app.rt.db.dispose()
    for file in tmp_path.glob("swallowtail.db*"):
        file.unlink()
    try:
        assert _states(expect_json(web_app.client.get("/readyz"), 503))["database"] == "down"
    finally:
        web_app.web.hub.stop()


def test_without_redis_events_still_come(web_app: WebApp) -> None:
    web_app.web.hub.start()
    try:
        body = expect_json(web_app.client.get("/readyz"))
    finally:
        web_app.web.hub.stop()
    assert body["status"] == "degraded"
    assert _states(body) == {**WORK, "database": "ok", "hub": "degraded", "redis": "degraded"}


@pytest.fixture
def delivering(tmp_path: Path, redis_server: RedisServer) -> Iterator[WebApp]:
    web_app = WebApp(make_settings(var_dir=tmp_path, async_mode="threading", redis_url=redis_server.url))
    announce(web_app.rt.db, "worker", [], interval=10_000)
    web_app.web.hub.start()
    yield web_app
    web_app.web.hub.stop()
    web_app.close()


@pytest.mark.service
def test_with_everything_there_delivery_works(delivering: WebApp) -> None:
    wait_until(lambda: delivering.web.hub.self_check.state.state == "receives", "the hub receives its own messages")
    body = expect_json(delivering.client.get("/readyz"))
    assert (body["status"], _states(body)) == (
        "ok",
        {**WORK, "workers": "ok", "database": "ok", "hub": "ok", "redis": "ok"},
    )


@pytest.mark.service
def test_readiness_opens_no_connection_of_its_own(delivering: WebApp, redis_server: RedisServer) -> None:
    wait_until(lambda: delivering.web.hub.self_check.state.state == "receives", "the hub receives its own messages")
    with redis_server.client() as client:
        before = client.info("stats")["total_connections_received"]
        for _ in range(20):
            assert _states(expect_json(delivering.client.get("/readyz")))["redis"] == "ok"
        assert client.info("stats")["total_connections_received"] == before


@pytest.mark.service
def test_a_process_that_receives_nothing_reports_it(tmp_path: Path, redis_binary: RedisBinary) -> None:
    redis = RedisServer(tmp_path, binary=redis_binary, tcp=True)
    with redis.start(), SilentWire(redis.url) as wire:
        options = make_settings(var_dir=tmp_path, async_mode="threading", redis_url=wire.url)
        web_app = WebApp(options.model_copy(update={"probe_interval": 0.1, "deaf_after": 0.5}))
        announce(web_app.rt.db, "worker", [], interval=10_000)
        web_app.web.hub.start()
        try:
            wait_until(
                lambda: web_app.web.hub.self_check.state.state == "receives", "the hub receives its own messages"
            )
            wire.silence("messages", lasting=True)

            def reason() -> str:
                body = expect_json(web_app.client.get("/readyz"))
                reported: str = body["components"]["redis"]["detail"]
                return reported if body["status"] == "degraded" else ""

            wait_until(lambda: "none comes back" in reason(), "it reports that it receives nothing", seen=reason)
            wire.heal()
            wait_until(lambda: not reason(), "it receives messages again", seen=reason)
        finally:
            web_app.web.hub.stop()
            web_app.close()


@pytest.mark.long
@pytest.mark.service
def test_a_redis_that_hangs_is_noticed_and_forgotten_when_it_is_back(
    delivering: WebApp, redis_server: RedisServer
) -> None:
    def state() -> str:
        return _states(expect_json(delivering.client.get("/readyz")))["redis"]

    wait_until(lambda: state() == "ok", "the hub receives its own messages")
    redis_server.pause()
    try:
        wait_until(lambda: state() == "degraded", "it is noticed")
    finally:
        redis_server.resume()

    def is_well() -> bool:
        return bool(expect_json(delivering.client.get("/readyz"))["status"] == "ok")

    wait_until(is_well, "delivery works again", every=0.2)


def test_long_waits_are_reported_and_the_process_stays_ready(web_app: WebApp) -> None:
    web_app.web.hub.start()
    try:
        task_id = web_app.submit()["task"]["id"]
        announce(web_app.rt.db, "worker", [], interval=10_000)
        assert _states(expect_json(web_app.client.get("/readyz")))["tasks"] == "ok"
        with web_app.rt.db.write() as session:
            session.execute(update(Outbox).where(Outbox.task_id == task_id).values(due_at=db_now(-61)))
        body = expect_json(web_app.client.get("/readyz"))
    finally:
        web_app.web.hub.stop()
    assert (_states(body)["workers"], _states(body)["tasks"]) == ("ok", "degraded")
    assert body["components"]["tasks"]["detail"].startswith("1 waiting for a worker, for 6")
    assert body["components"]["workers"]["detail"] == "1 running"


def test_a_broker_that_does_not_answer_is_reported_once_it_was_asked(web_app: WebApp) -> None:
    def broker() -> dict[str, str]:
        body: dict[str, str] = web_app.client.get("/readyz").get_json()["components"]["broker"]
        return body

    assert broker() == {"status": "ok", "detail": "not checked yet"}
    web_app.rt.relay.update_depth()
    assert broker()["status"] == "degraded"
    web_app.rt.relay.depth = 3
    assert broker() == {"status": "ok", "detail": "responds; 3 messages queued"}
