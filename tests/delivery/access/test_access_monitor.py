"""Clients lose what they may no longer see, also when changes race with the review; each race also runs with a fault.

A real database and the real hub; the tests run each step, and choose what interrupts it.
"""

from __future__ import annotations

import pytest

from swallowtail.app.core.errors import NotFound, Unavailable
from swallowtail.app.core.identity.members import set_member
from swallowtail.app.delivery.clients.permission_cache import PermissionCache
from tests.delivery.access.monitored_hub import write
from tests.delivery.access.monitored_instance import MonitoredInstance


def careless(passes: PermissionCache) -> None:
    """The mistake: what was started by an old decision remains."""
    passes.confirm = lambda version: None  # type: ignore[method-assign]


@pytest.mark.parametrize("moment", ["after the check", "during the start"])
def test_a_token_that_is_revoked_during_a_subscription_leaves_nothing_of_it(s: MonitoredInstance, moment: str) -> None:
    token = s.page()
    s.process.connect("page", token)
    if moment == "after the check":
        s.process.reader.meanwhile = lambda: s.revoke_and_review(token)
        with pytest.raises(NotFound):
            s.process.subscribe("page")
        expected = ["expelled: revoked"]
    else:
        s.process.subscribe("page", then=lambda: s.revoke_and_review(token))
        expected = ["subscribed", "expelled: revoked"]
    write(s.rt)
    assert s.story("witness")[-1] == "1"
    assert s.story("page") == expected
    assert "page" not in s.hub.clients.by_id
    assert len(s.hub.streams.by_instance["mine"].intake.groups) == 1


def removed_while_subscribing(s: MonitoredInstance, moment: str) -> list[str]:
    """A membership ends, and all clients are reviewed, before a subscription that it allowed has started."""
    s.process.connect("ann", s.ann)
    if moment == "after the check":
        s.process.reader.meanwhile = s.remove_and_review
        s.process.subscribe("ann")
    else:
        s.process.subscribe("ann", then=s.remove_and_review)
    # Run the reviews that were requested.
    for _ in range(s.process.requests):
        s.monitor.review()
    write(s.rt)
    assert s.story("witness")[-1] == "1"
    return s.story("ann")


@pytest.mark.parametrize("moment", ["after the check", "during the start"])
def test_a_membership_that_ends_between_check_and_join_is_cut_off_at_once(s: MonitoredInstance, moment: str) -> None:
    assert removed_while_subscribing(s, moment) == ["subscribed", "reset revoked"]
    assert s.process.requests == 1
    assert s.process.rooms == {("witness", "mine")}
    with pytest.raises(NotFound):
        s.process.subscribe("ann")


@pytest.mark.parametrize("moment", ["after the check", "during the start"])
def test_control_a_subscription_on_an_old_decision_is_caught(s: MonitoredInstance, moment: str) -> None:
    careless(s.hub.permissions)
    assert removed_while_subscribing(s, moment) == ["subscribed", "1"]


def test_a_client_that_loses_access_to_a_text_leaves_its_room(s: MonitoredInstance) -> None:
    task_id = write(s.rt)
    s.process.connect("ann", s.ann)
    s.process.reader.meanwhile = s.remove_and_review
    s.process.read_along("ann", task_id)
    assert s.process.requests == 1
    s.monitor.review()
    assert s.story("ann") == ["reset revoked"]
    assert s.process.rooms == {("witness", "mine")}
    assert not s.hub.texts.has_readers(task_id)


def test_a_role_that_is_lowered_and_raised_again_costs_its_member_nothing(s: MonitoredInstance) -> None:
    set_member(s.rt, "mine", "ann", "admin")
    s.process.connect("ann", s.ann)
    s.process.subscribe("ann")
    s.process.connect("page", s.page("ann"))
    s.process.subscribe("page")
    s.monitor.review()
    for role in ("viewer", "admin"):
        set_member(s.rt, "mine", "ann", role)
    s.monitor.review()
    write(s.rt)
    assert s.story("ann") == ["subscribed", "1"]
    # A token that an admin issued ended with the admin's role, and a later role does not revive it.
    assert s.story("page") == ["subscribed", "reset revoked", "expelled: revoked"]
    assert s.process.rooms == {("witness", "mine"), ("ann", "mine")}


def test_a_membership_that_ends_and_begins_again_before_a_review_costs_nothing(s: MonitoredInstance) -> None:
    s.process.connect("ann", s.ann)
    s.process.subscribe("ann")
    s.remove()
    set_member(s.rt, "mine", "ann", "viewer")
    s.monitor.review()
    assert not s.hub.permissions.allows(s.client("ann").actor, "mine")
    write(s.rt)
    assert s.story("ann") == ["subscribed", "1"]


def review_twice(s: MonitoredInstance) -> list[str]:
    """The database goes away in the middle of a review, and is back for the next."""
    token = s.page()
    s.process.connect("page", token)
    s.process.subscribe("page")
    s.revoke(token)

    def go_away() -> None:
        raise Unavailable("the database is away")

    s.process.meanwhile = go_away
    with pytest.raises(Unavailable):
        s.monitor.review()
    s.monitor.review()
    return s.story("page")


def test_a_review_that_could_not_be_finished_is_repeated(s: MonitoredInstance) -> None:
    assert review_twice(s) == ["subscribed", "reset revoked", "expelled: revoked"]


def test_control_counting_an_unfinished_review_is_caught(s: MonitoredInstance) -> None:
    s.hub.permissions.mark_stale = lambda: None  # type: ignore[method-assign]
    assert review_twice(s) == ["subscribed"]


def test_a_client_that_cannot_be_cut_off_does_not_keep_the_others(s: MonitoredInstance) -> None:
    token = s.page()
    for name in ("one", "two", "three"):
        s.process.connect(name, token)
        s.process.subscribe(name)
    faults = ["one"]

    def fail(client: str) -> None:
        if client in faults:
            faults.remove(client)
            raise OSError("no such socket")

    s.process.before_expulsion = fail
    s.revoke_and_review(token)
    assert set(s.hub.clients.by_id) == {"witness", "one"}
    # Its subscriptions are gone all the same, and it cannot start another.
    assert s.story("one") == ["subscribed", "reset revoked"]
    with pytest.raises(NotFound):
        s.process.subscribe("one")
    s.monitor.review()
    assert set(s.hub.clients.by_id) == {"witness"}
