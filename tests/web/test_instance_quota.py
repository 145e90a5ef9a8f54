"""Creating instances is a right with a number for each user, and superusers are not counted."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.core import actions, users
from app.core.access import Actor, Caller
from app.core.errors import TooMany
from app.core.members import remove_member, set_member
from app.core.runtime import Runtime
from app.core.settings import Settings
from tests.identity.bench import CHEAP, KEY, PASSWORD
from tests.web.desk import Desk, problem, take
from tests.web.test_auth import as_user

Open = Callable[[int], Desk]


@pytest.fixture
def open_desk(tmp_path: Path) -> Iterator[Open]:
    desks: list[Desk] = []

    def make(most: int) -> Desk:
        given: dict[str, Any] = {"var_dir": tmp_path, "async_mode": "threading", "auth": "required", "secret_key": KEY}
        desk = Desk(Settings(_env_file=None, **given, **CHEAP, max_user_instances=most))
        desks.append(desk)
        for name in ("ann", "bob"):
            users.create_user(desk.rt, name, PASSWORD)
        users.create_user(desk.rt, "boss", PASSWORD, is_superuser=True)
        return desk

    yield make
    for desk in desks:
        desk.close()


def test_a_user_may_create_as_many_as_the_number_says(open_desk: Open) -> None:
    desk = open_desk(2)
    ann, bob, boss = (as_user(desk, name) for name in ("ann", "bob", "boss"))
    for name in ("one", "two"):
        take(desk.post("/instances", {"name": name, "id": name}, **ann), 201)
    told = problem(desk.post("/instances", {"name": "three"}, **ann), 429, "too_many")
    assert "2" in told["detail"]
    take(desk.post("/instances", {"name": "bobs"}, **bob), 201)
    for name in ("a", "b", "c"):
        take(desk.post("/instances", {"name": name}, **boss), 201)


def test_handing_one_over_gives_nothing_back_and_deleting_one_does(open_desk: Open) -> None:
    desk = open_desk(1)
    ann = as_user(desk)
    take(desk.post("/instances", {"name": "One", "id": "one"}, **ann), 201)
    set_member(desk.rt, "one", "bob", "owner")
    remove_member(desk.rt, "one", "ann")
    problem(desk.post("/instances", {"name": "Two"}, **ann), 429, "too_many")
    assert desk.client.delete("/api/v1/instances/one?confirm=one", **as_user(desk, "bob")).status_code in (
        200,
        202,
        204,
    )
    take(desk.post("/instances", {"name": "Two"}, **ann), 201)


def test_with_zero_only_superusers_create_any(open_desk: Open) -> None:
    desk = open_desk(0)
    problem(desk.post("/instances", {"name": "One"}, **as_user(desk)), 403, "forbidden")
    take(desk.post("/instances", {"name": "One"}, **as_user(desk, "boss")), 201)


def test_those_that_come_at_once_are_counted_too(open_desk: Open) -> None:
    desk = open_desk(3)
    user_id = users.create_user(desk.rt, "cat", PASSWORD)["id"]
    acting: Runtime = desk.rt.by(Caller(Actor("user", user_id, "cat", user_id=user_id), "rest"))
    gate, refused = threading.Barrier(8), []

    def create(number: int) -> None:
        gate.wait()
        try:
            actions.create_instance(acting, f"I{number}")
        except TooMany as refusal:
            refused.append(refusal)

    threads = [threading.Thread(target=create, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 5
