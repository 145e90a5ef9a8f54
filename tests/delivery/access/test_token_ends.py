"""A token expires, is revoked or is replaced while the monitor reviews its client; each race also runs with a fault."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from swallowtail.app.core.errors import NotFound, Unavailable
from swallowtail.app.core.security.actors import Actor
from swallowtail.app.delivery.clients.client import Client
from tests.delivery.access.monitored_hub import Action, write
from tests.delivery.access.monitored_instance import MonitoredInstance

PAST = datetime(2020, 1, 1, tzinfo=UTC)


def test_a_token_that_is_refreshed_during_the_check_of_its_end_stays_valid(s: MonitoredInstance) -> None:
    old, new = s.page(), s.bench.tokens.read(s.page())
    s.process.connect("page", old)
    s.process.subscribe("page")
    s.revoke(old)
    s.process.meanwhile = lambda: s.hub.permissions.replace_token(s.hub.clients.find("page"), new)
    s.monitor.review()
    s.monitor.review()
    write(s.rt)
    assert s.story("page") == ["subscribed", "1"]


def refreshed_as_it_expires(s: MonitoredInstance) -> list[str]:
    """A new token arrives after the expiry of the old one was checked."""
    new = s.bench.tokens.read(s.page())
    s.process.connect("page", s.page(), expires_at=PAST)
    s.process.subscribe("page")
    end = s.hub.permissions.end

    def end_late(client: Client, actor: Actor) -> bool:
        s.hub.permissions.replace_token(s.hub.clients.find("page"), new)
        return end(client, actor)

    s.hub.permissions.end = end_late  # type: ignore[method-assign]
    s.monitor.review()
    write(s.rt)
    return s.story("page")


def test_a_token_that_is_refreshed_as_it_expires_stays(s: MonitoredInstance) -> None:
    assert refreshed_as_it_expires(s) == ["subscribed", "1"]


def test_control_ending_a_client_that_has_another_token_by_now_is_caught(s: MonitoredInstance) -> None:
    s.hub.permissions.end = lambda client, actor: True  # type: ignore[method-assign]
    assert refreshed_as_it_expires(s) == ["subscribed", "reset expired", "expelled: expired"]


def subscribe_while_expelled(s: MonitoredInstance) -> list[str]:
    """A client tries to subscribe between losing its subscriptions and its disconnection."""
    token, new = s.page(), s.bench.tokens.read(s.page())
    s.process.connect("page", token)
    s.process.subscribe("page")
    results: list[str] = []

    def go_on(client: str) -> None:
        actions: list[Action] = [
            lambda: s.hub.permissions.replace_token(s.hub.clients.find(client), new),
            lambda: s.process.subscribe(client),
        ]
        for action in actions:
            try:
                action()
            except NotFound:
                continue
            results.append("went on")

    s.process.before_expulsion = go_on
    s.revoke_and_review(token)
    return results + s.story("page")


def test_a_client_that_is_being_disconnected_starts_nothing(s: MonitoredInstance) -> None:
    assert subscribe_while_expelled(s) == ["subscribed", "reset revoked", "expelled: revoked"]


def test_control_going_on_while_being_cut_off_is_caught(s: MonitoredInstance) -> None:
    s.hub.permissions.end = lambda client, actor: True  # type: ignore[method-assign]
    assert subscribe_while_expelled(s)[:2] == ["went on", "went on"]


def test_a_token_expires_while_the_database_is_away(s: MonitoredInstance) -> None:
    s.process.connect("page", s.page(), expires_at=PAST)
    s.process.connect("warned", s.page(), expires_at=datetime.now(UTC) + timedelta(seconds=30))
    s.process.reader.away = True
    for _ in range(2):
        with pytest.raises(Unavailable):
            s.monitor.review()
    assert s.story("page") == ["expelled: expired"]
    assert s.story("warned") == ["warned"]


def test_a_token_of_the_same_bearer_may_take_the_place_of_one_that_was_revoked(s: MonitoredInstance) -> None:
    old = s.page()
    actor = s.process.connect("page", old)
    s.process.subscribe("page")
    s.revoke(old)
    s.hub.permissions.replace_token(s.hub.clients.find("page"), s.bench.tokens.read(s.page()))
    s.monitor.review()
    write(s.rt)
    assert s.story("page") == ["subscribed", "1"]
    assert s.client("page").actor.token_id != actor.token_id
