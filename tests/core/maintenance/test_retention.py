"""Old events are deleted from the beginning of the log, in batches, together with the number that replay starts at."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import select

from swallowtail.app.core.database.database import db_now
from swallowtail.app.core.errors import Forbidden, NotFound
from swallowtail.app.core.maintenance.retention import Policy, Pruned, preview_pruning, prune, prune_due
from swallowtail.app.core.security.actors import Actor, Caller
from swallowtail.app.core.tables.audit import AuditEntry
from swallowtail.app.core.tables.auth import Membership, User
from tests.core.domain import Domain
from tests.core.maintenance.retained_log import EVERYTHING, age, completed, head, policy_of, set_policy, stored, tasks

NewDomain = Callable[..., Domain]


def test_events_that_are_too_old_are_deleted_and_the_head_shows_it(domain: Domain) -> None:
    for _ in range(4):
        domain.submit()
    age(domain, 10, last=3)
    assert prune(domain.rt, "demo", Policy(event_days=9)) == Pruned(3, 0, 3)
    assert stored(domain) == [4]
    assert (head(domain).seq, head(domain).min_seq) == (4, 3)
    assert prune(domain.rt, "demo", Policy(event_days=9)) == Pruned(0, 0, 3)
    domain.submit()
    assert stored(domain) == [4, 5]


def test_all_but_the_latest_events_go(domain: Domain) -> None:
    for _ in range(10):
        domain.submit()
    assert prune(domain.rt, "demo", Policy(events=4)) == Pruned(6, 0, 6)
    assert stored(domain) == [7, 8, 9, 10]
    assert prune(domain.rt, "demo", EVERYTHING) == Pruned(4, 0, 10)
    assert (stored(domain), head(domain).min_seq) == ([], 10)


def test_only_the_oldest_events_are_deleted(domain: Domain) -> None:
    for _ in range(5):
        domain.submit()
    age(domain, 10)
    age(domain, 1, first=3, last=3)
    assert prune(domain.rt, "demo", Policy(event_days=9)) == Pruned(2, 0, 2)
    assert stored(domain) == [3, 4, 5]


def test_recent_events_are_never_pruned(domain: Domain) -> None:
    for _ in range(5):
        domain.submit()
    age(domain, 1, last=2)
    assert prune(domain.rt, "demo", Policy(events=0, floor=60)) == Pruned(2, 0, 2)
    assert stored(domain) == [3, 4, 5]


def test_without_a_policy_everything_is_kept(domain: Domain) -> None:
    completed(domain)
    age(domain, 10_000)
    assert policy_of(domain) == Policy(floor=domain.settings.prune_floor)
    assert prune(domain.rt, "demo") == Pruned(0, 0, 0)
    assert prune_due(domain.rt, lambda: True) == 0


def test_an_instances_own_policy_overrides_the_settings(new_domain_on: NewDomain) -> None:
    domain = new_domain_on(event_retention_days=5, task_retention_days=7, event_retention_events=100, prune_floor=1)
    assert policy_of(domain) == Policy(5, 100, 7, 1)
    set_policy(domain, event_days=2.5)
    assert policy_of(domain) == Policy(2.5, 100, 7, 1)
    set_policy(domain, event_days=0.0, task_days=0.0)
    assert policy_of(domain) == Policy(None, 100, None, 1)


def test_batches_are_bounded_and_pruning_may_stop_between_them(new_domain_on: NewDomain) -> None:
    domain = new_domain_on(prune_batch=3)
    for _ in range(10):
        domain.submit()
    asked: list[int] = []

    def may_continue() -> bool:
        asked.append(head(domain).min_seq)
        return len(asked) < 2

    assert prune(domain.rt, "demo", EVERYTHING, may_continue=may_continue) == Pruned(6, 0, 6)
    assert asked == [3, 6, 6]
    assert prune(domain.rt, "demo", EVERYTHING) == Pruned(4, 0, 10)


def test_a_preview_counts_what_pruning_deletes(domain: Domain) -> None:
    completed(domain)
    domain.failed()
    age(domain, 10)
    completed(domain)
    for policy in (Policy(), Policy(event_days=9), Policy(task_days=9), Policy(events=2), EVERYTHING):
        before = (stored(domain), tasks(domain), head(domain))
        preview = preview_pruning(domain.rt, "demo", policy)
        assert (stored(domain), tasks(domain), head(domain)) == before
        assert prune(domain.rt, "demo", policy) == preview


def test_an_unknown_instance_is_not_found(domain: Domain) -> None:
    for function in (prune, preview_pruning):
        with pytest.raises(NotFound):
            function(domain.rt, "nowhere", EVERYTHING)


def test_other_instances_are_left_alone(domain: Domain) -> None:
    domain.create_instance("Other", "other")
    domain.submit()
    domain.submit("other")
    prune(domain.rt, "demo", EVERYTHING)
    assert (head(domain).min_seq, head(domain, "other").min_seq) == (1, 0)
    assert len(domain.log("other")) == 1


def test_pruning_needs_its_permission_and_is_in_the_audit_log(domain: Domain) -> None:
    for name, role in (("olga", "owner"), ("adam", "admin")):
        with domain.db.write() as session:
            now = session.scalars(select(db_now())).one()
            session.add(User(id=name, name=name, is_superuser=False, generation=1, created_at=now))
            session.flush()
            session.add(Membership(instance_id="demo", user_id=name, role=role, created_at=now))
    domain.submit()
    domain.submit()
    by = {name: Caller(Actor("user", name, name, user_id=name), "cli") for name in ("olga", "adam")}
    with pytest.raises(Forbidden):
        prune(domain.rt.by(by["adam"]), "demo", EVERYTHING)
    assert head(domain).min_seq == 0
    assert prune(domain.rt.by(by["olga"]), "demo", EVERYTHING).events == 2
    prune(domain.rt.by(by["olga"]), "demo", EVERYTHING)
    with domain.db.read() as session:
        entries = session.execute(select(AuditEntry.actor_id, AuditEntry.action, AuditEntry.object_id)).all()
    assert [tuple(entry) for entry in entries] == [("olga", "instance.prune", "demo")]
