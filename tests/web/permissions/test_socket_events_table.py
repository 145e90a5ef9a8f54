"""Every Socket.IO event × every kind of caller; an event that is missing in the table fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest

from swallowtail.app.core.errors import SwallowtailError
from swallowtail.app.core.security.actors import Actor
from swallowtail.app.delivery.hub import Hub
from swallowtail.app.delivery.log.database_reader import DatabaseReader
from swallowtail.app.web.socketio.handlers import SocketHandlers
from tests.delivery.fakes import FakeTransport
from tests.web.access_table import CALLERS
from tests.web.callers import CallersApp

READERS = "unauthenticated not_found ok ok ok ok not_found ok ok unauthenticated"
#: Unsubscribing is always allowed.
EVERY_CALLER = " ".join(["ok"] * len(CALLERS))
#: Connected callers have a token to replace; anonymous callers have none.
BEARERS = "forbidden ok ok ok ok ok ok ok ok forbidden"

TABLE = {
    "subscribe_instance": READERS,
    "unsubscribe_instance": EVERY_CALLER,
    "subscribe_task": READERS,
    "unsubscribe_task": EVERY_CALLER,
    "refresh_token": BEARERS,
}


def test_every_event_is_in_the_table_and_nothing_else() -> None:
    assert set(SocketHandlers.EVENTS) == set(TABLE)


def actions(callers_app: CallersApp, hub: Hub, actor: Actor) -> dict[str, Callable[[], object]]:
    """Return the action of each event."""
    return {
        "subscribe_instance": lambda: hub.subscriptions.subscribe("c", "acme", None, lambda _: None),
        "unsubscribe_instance": lambda: hub.subscriptions.unsubscribe("c", "acme", lambda: None),
        "subscribe_task": lambda: hub.subscriptions.subscribe_task("c", callers_app.task_id, lambda: None),
        "unsubscribe_task": lambda: hub.subscriptions.unsubscribe_task("c", callers_app.task_id),
        "refresh_token": lambda: hub.permissions.replace_token(
            hub.clients.find("c"), replace(actor, token_id="another")
        ),
    }


def outcome(action: Callable[[], object]) -> str:
    try:
        action()
    except SwallowtailError as refusal:
        return refusal.code
    return "ok"


@pytest.mark.parametrize("event", TABLE)
def test_every_caller_gets_the_expected_answer(callers_app: CallersApp, event: str) -> None:
    settings = callers_app.rt.settings
    result = []
    for who in CALLERS:
        hub = Hub(settings, DatabaseReader(callers_app.rt.db, settings), FakeTransport())
        actor = callers_app.actors[who]
        hub.clients.add("c", actor)
        result.append(outcome(actions(callers_app, hub, actor)[event]))
        hub.subscriptions.disconnect("c")
    assert dict(zip(CALLERS, result, strict=True)) == dict(zip(CALLERS, TABLE[event].split(), strict=True))


def test_a_token_cannot_be_refreshed_by_the_token_of_another_user(callers_app: CallersApp) -> None:
    hub = Hub(callers_app.rt.settings, DatabaseReader(callers_app.rt.db, callers_app.rt.settings), FakeTransport())
    for own, other in (("viewer", "owner"), ("page", "task_page"), ("task_page", "page"), ("page", "viewer")):
        hub.clients.add("c", callers_app.actors[own])
        replace = partial(hub.permissions.replace_token, hub.clients.find("c"), callers_app.actors[other])
        assert outcome(replace) == "forbidden"
