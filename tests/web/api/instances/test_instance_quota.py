"""The number of instances that each user may create; superusers are exempt."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from swallowtail.app.core.errors import TooMany
from swallowtail.app.core.identity import users
from swallowtail.app.core.identity.members import remove_member, set_member
from swallowtail.app.core.runtime import Runtime
from swallowtail.app.core.security.actors import Actor, Caller
from swallowtail.app.core.services.instances import create_instance
from tests.harness.closed_objects import closing_all
from tests.harness.settings import make_settings
from tests.identity.bench import CHEAP, KEY, PASSWORD
from tests.web.app_fixture import WebApp, expect_json, expect_problem
from tests.web.permissions.test_login import as_user

Open = Callable[[int], WebApp]


@pytest.fixture
def open_web_app(tmp_path: Path) -> Iterator[Open]:
    def make(most: int) -> WebApp:
        options: dict[str, Any] = {
            "var_dir": tmp_path,
            "async_mode": "threading",
            "auth": "required",
            "secret_key": KEY,
        }
        web_app = WebApp(make_settings(**options, **CHEAP, max_user_instances=most))
        for name in ("ann", "bob"):
            users.create_user(web_app.rt, name, PASSWORD)
        users.create_user(web_app.rt, "boss", PASSWORD, is_superuser=True)
        return web_app

    yield from closing_all(make)


def test_a_user_may_create_as_many_as_the_number_says(open_web_app: Open) -> None:
    web_app = open_web_app(2)
    ann, bob, boss = (as_user(web_app, name) for name in ("ann", "bob", "boss"))
    for name in ("one", "two"):
        expect_json(web_app.post("/instances", {"name": name, "id": name}, **ann), 201)
    body = expect_problem(web_app.post("/instances", {"name": "three"}, **ann), 429, "too_many")
    assert "2" in body["detail"]
    expect_json(web_app.post("/instances", {"name": "bobs"}, **bob), 201)
    for name in ("a", "b", "c"):
        expect_json(web_app.post("/instances", {"name": name}, **boss), 201)


def test_transferring_an_instance_frees_no_place_and_deleting_one_does(open_web_app: Open) -> None:
    web_app = open_web_app(1)
    ann = as_user(web_app)
    expect_json(web_app.post("/instances", {"name": "One", "id": "one"}, **ann), 201)
    set_member(web_app.rt, "one", "bob", "owner")
    remove_member(web_app.rt, "one", "ann")
    expect_problem(web_app.post("/instances", {"name": "Two"}, **ann), 429, "too_many")
    assert web_app.client.delete("/api/v1/instances/one?confirm=one", **as_user(web_app, "bob")).status_code in (
        200,
        202,
        204,
    )
    expect_json(web_app.post("/instances", {"name": "Two"}, **ann), 201)


def test_with_zero_only_superusers_create_any(open_web_app: Open) -> None:
    web_app = open_web_app(0)
    expect_problem(web_app.post("/instances", {"name": "One"}, **as_user(web_app)), 403, "forbidden")
    expect_json(web_app.post("/instances", {"name": "One"}, **as_user(web_app, "boss")), 201)


def test_concurrent_creations_are_counted_too(open_web_app: Open) -> None:
    web_app = open_web_app(3)
    user_id = users.create_user(web_app.rt, "cat", PASSWORD)["id"]
    acting: Runtime = web_app.rt.by(Caller(Actor("user", user_id, "cat", user_id=user_id), "rest"))
    barrier, refused = threading.Barrier(8), []

    def create(number: int) -> None:
        barrier.wait()
        try:
            create_instance(acting, f"I{number}")
        except TooMany as refusal:
            refused.append(refusal)

    threads = [threading.Thread(target=create, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 5
