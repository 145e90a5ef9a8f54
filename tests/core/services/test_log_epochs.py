"""A new epoch keeps the events and their numbers."""

from __future__ import annotations

import pytest

from swallowtail.app.core.errors import NotFound
from swallowtail.app.core.ledger.event_log import read_head
from swallowtail.app.core.maintenance.retention import Policy, prune
from swallowtail.app.core.services.log_epochs import renew_epoch
from tests.core.domain import Domain, numbers


def epochs(domain: Domain, instance_id: str = "demo") -> set[str]:
    return {event.epoch for event in domain.log(instance_id)}


def test_the_log_continues_with_its_events_and_numbers_in_another_epoch(domain: Domain) -> None:
    claim = domain.running()
    before = epochs(domain)
    head = renew_epoch(domain.rt, "demo")
    assert (head.seq, head.min_seq) == (3, 0)
    assert before != {head.epoch}
    domain.runs.complete(claim, {})
    assert epochs(domain) == {head.epoch}
    assert numbers(domain.log()) == [1, 2, 3, 4]
    assert domain.story() == ["SUBMITTED", "QUEUED", "IN_PROGRESS 0", "COMPLETED"]


def test_each_renewal_has_a_new_epoch_and_other_instances_keep_theirs(domain: Domain) -> None:
    domain.create_instance("Other", "other")
    domain.submit("other")
    theirs = epochs(domain, "other")
    assert renew_epoch(domain.rt, "demo").epoch != renew_epoch(domain.rt, "demo").epoch
    assert epochs(domain, "other") == theirs


def test_pruned_events_stay_pruned(domain: Domain) -> None:
    for _ in range(3):
        domain.submit()
    prune(domain.rt, "demo", Policy(events=1))
    renew_epoch(domain.rt, "demo")
    with domain.db.read() as session:
        head = read_head(session, "demo")
    assert head is not None
    assert (head.seq, head.min_seq) == (3, 2)


def test_an_unknown_instance_is_not_found(domain: Domain) -> None:
    with pytest.raises(NotFound):
        renew_epoch(domain.rt, "nowhere")
