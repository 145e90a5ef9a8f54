"""Requests whose database connection breaks: they are repeated unless their write may be stored."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import OperationalError

from swallowtail.app.core.errors import CutOff
from swallowtail.app.core.identity import users
from tests.harness.settings import make_settings
from tests.identity.bench import CHEAP, KEY, PASSWORD
from tests.web.app_fixture import SUBMISSION, WebApp, expect_json


class Breaker:
    """Breaks the connection at the nth statement after `arm`; later statements work again."""

    def __init__(self, web_app: WebApp) -> None:
        self.left, self.asked = 0, 0
        event.listen(web_app.rt.db.engine, "before_cursor_execute", self._count)

    def arm(self, number: int) -> None:
        self.left, self.asked = number, 0

    def _count(self, *_: Any) -> None:
        self.asked += 1
        self.left -= 1
        if self.left == 0:
            raise OperationalError("SELECT", {}, sqlite3.OperationalError("server closed the connection"))


@pytest.fixture(params=["open", "required"])
def web_app(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[WebApp]:
    options = {"var_dir": tmp_path, "async_mode": "threading", "auth": request.param, "secret_key": KEY, **CHEAP}
    web_app = WebApp(make_settings(**options))
    users.create_user(web_app.rt, "boss", PASSWORD, is_superuser=True)
    token = expect_json(web_app.post("/auth/login", {"name": "boss", "password": PASSWORD}))["access_token"]
    web_app.client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {token}"
    web_app.create_instance("acme")
    yield web_app
    web_app.close()


def test_a_post_that_is_cut_off_at_any_statement_is_answered_and_done_once(web_app: WebApp) -> None:
    breaker = Breaker(web_app)
    number = 0
    while breaker.asked >= number:
        number += 1
        breaker.arm(number)
        expect_json(web_app.post("/instances/acme/tasks", SUBMISSION), 201)
    assert number > 5
    assert expect_json(web_app.get("/instances/acme"))["seq"] == number, "each was stored once"


def test_a_request_that_may_have_been_stored_is_not_repeated(web_app: WebApp) -> None:
    breaker = Breaker(web_app)
    done: list[str] = []

    def work() -> None:
        done.append("work")
        with web_app.rt.db.write() as session:
            session.execute(text("SELECT 1"))
        with web_app.rt.db.read() as session:
            breaker.arm(1)
            session.execute(text("SELECT 1"))

    with pytest.raises(CutOff):
        web_app.rt.db.retry_if_cut_off(work)
    assert done == ["work"]


def test_a_database_that_is_cut_off_again_and_again_is_not_waited_for_without_end(web_app: WebApp) -> None:
    breaker = Breaker(web_app)
    web_app.rt.db.wait = 0.05

    def work() -> None:
        with web_app.rt.db.read() as session:
            breaker.arm(1)
            session.execute(text("SELECT 1"))

    with pytest.raises(CutOff):
        web_app.rt.db.retry_if_cut_off(work)
