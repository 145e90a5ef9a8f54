"""What is no longer kept goes from the old end, in batches, and never without the number that says so."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update

from swallowtail.app.core.coordination.periodic_lock import take_turn
from swallowtail.app.core.database.database import db_now
from swallowtail.app.core.errors import Forbidden, NotFound
from swallowtail.app.core.ledger.event_log import Head, read_events, read_head
from swallowtail.app.core.maintenance.retention import DUTY, Policy, Pruned, foresee, prune, prune_due, read_policy
from swallowtail.app.core.security.actors import Actor, Caller
from swallowtail.app.core.states import TaskStatus
from swallowtail.app.core.tables.artifacts import Artifact
from swallowtail.app.core.tables.audit import AuditEntry
from swallowtail.app.core.tables.auth import Membership, User
from swallowtail.app.core.tables.instances import InstancePolicy
from swallowtail.app.core.tables.tasks import Event, Outbox, Step, Task
from tests.core.domain import Domain, numbers

NewDomain = Callable[..., Domain]
EVERYTHING = Policy(events=0)


def head(domain: Domain, instance_id: str = "demo") -> Head:
    with domain.db.read() as session:
        found = read_head(session, instance_id)
    assert found is not None
    return found


def stored(domain: Domain) -> list[int]:
    with domain.db.read() as session:
        return numbers(read_events(session, "demo", 0, 1_000_000))


def age(domain: Domain, days: float, *, first: int = 1, last: int = 1_000_000) -> None:
    """Let events be so old, and every task that has ended be of that time too."""
    with domain.db.write() as session:
        moment = session.scalars(select(db_now())).one() - timedelta(days=days)
        session.execute(update(Event).where(Event.seq >= first, Event.seq <= last).values(created_at=moment))
        tasks = select(Event.task_id).where(Event.seq >= first, Event.seq <= last)
        session.execute(update(Task).where(Task.id.in_(tasks)).values(created_at=moment))
        session.execute(
            update(Task).where(Task.id.in_(tasks), Task.finished_at.is_not(None)).values(finished_at=moment)
        )


def completed(domain: Domain) -> str:
    """A task of six events that has completed."""
    claim = domain.running()
    domain.perform(claim, "a")
    domain.runs.complete(claim, {})
    return claim.task_id


def decide(domain: Domain, **fields: Any) -> None:
    with domain.db.write() as session:
        session.merge(InstancePolicy(instance_id="demo", updated_at=session.scalars(select(db_now())).one(), **fields))


def policy_of(domain: Domain) -> Policy:
    with domain.db.read() as session:
        return read_policy(session, domain.settings, "demo")


def tasks(domain: Domain) -> set[str]:
    with domain.db.read() as session:
        return set(session.scalars(select(Task.id)))


def test_events_that_are_too_old_go_with_the_number_that_says_so(domain: Domain) -> None:
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


def test_the_log_goes_from_its_old_end_only(domain: Domain) -> None:
    for _ in range(5):
        domain.submit()
    age(domain, 10)
    age(domain, 1, first=3, last=3)
    assert prune(domain.rt, "demo", Policy(event_days=9)) == Pruned(2, 0, 2)
    assert stored(domain) == [3, 4, 5]


def test_what_is_young_is_never_pruned(domain: Domain) -> None:
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


def test_an_instances_own_policy_goes_before_the_settings(new_domain_on: NewDomain) -> None:
    domain = new_domain_on(event_retention_days=5, task_retention_days=7, event_retention_events=100, prune_floor=1)
    assert policy_of(domain) == Policy(5, 100, 7, 1)
    decide(domain, event_days=2.5)
    assert policy_of(domain) == Policy(2.5, 100, 7, 1)
    decide(domain, event_days=0.0, task_days=0.0)
    assert policy_of(domain) == Policy(None, 100, None, 1)


def test_batches_are_bounded_and_between_them_it_may_be_stopped(new_domain_on: NewDomain) -> None:
    domain = new_domain_on(prune_batch=3)
    for _ in range(10):
        domain.submit()
    asked: list[int] = []

    def may_go_on() -> bool:
        asked.append(head(domain).min_seq)
        return len(asked) < 2

    assert prune(domain.rt, "demo", EVERYTHING, may_go_on=may_go_on) == Pruned(6, 0, 6)
    assert asked == [3, 6, 6]
    assert prune(domain.rt, "demo", EVERYTHING) == Pruned(4, 0, 10)


def test_ended_tasks_go_with_all_that_is_theirs_and_with_their_events(domain: Domain) -> None:
    old, failed = completed(domain), domain.failed()
    with domain.db.write() as session:
        now = session.scalars(select(db_now())).one()
        session.add(
            Artifact(
                id="a", instance_id="demo", task_id=old, media_type="text/plain", size=1, sha256="", content=b"x",
                created_at=now,
            )
        )  # fmt: skip
    waiting = domain.submit()
    age(domain, 10)
    young = completed(domain)
    before = head(domain).seq
    done = prune(domain.rt, "demo", Policy(event_days=1000, task_days=9))
    assert (done.tasks, done.min_seq) == (2, before - 6)
    assert tasks(domain) == {waiting, young}
    assert failed not in tasks(domain)
    with domain.db.read() as session:
        assert set(session.scalars(select(Step.task_id))) == {young}
        assert set(session.scalars(select(Outbox.task_id))) == {waiting}
        assert session.scalar(select(func.count()).select_from(Artifact)) == 0
        told = {event.task_id for event in read_events(session, "demo", 0, 1000)}
    assert told == {young}


@pytest.mark.parametrize("status", list(TaskStatus))
def test_only_a_task_that_has_ended_goes(domain: Domain, status: TaskStatus) -> None:
    task_id = domain.bring_to(status)
    age(domain, 10)
    prune(domain.rt, "demo", Policy(task_days=9))
    ended = status in (TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.CANCELLED, TaskStatus.EXPIRED)
    assert (task_id in tasks(domain)) is not ended


def test_a_task_stays_as_long_as_one_of_its_events(domain: Domain) -> None:
    domain.submit()
    old = completed(domain)
    age(domain, 10, first=2)
    assert prune(domain.rt, "demo", Policy(task_days=9)) == Pruned(0, 0, 0)
    assert old in tasks(domain)
    age(domain, 10)
    assert prune(domain.rt, "demo", Policy(task_days=9)).tasks == 1


def test_a_task_that_is_retried_stays(domain: Domain) -> None:
    task_id = domain.failed()
    age(domain, 10)
    domain.ledger.retry(task_id)
    assert prune(domain.rt, "demo", Policy(task_days=9)).tasks == 0
    domain.runs.complete(domain.claim(task_id, 2), {})
    assert domain.task(task_id).status == "COMPLETED"


def test_the_same_submission_after_its_task_has_gone_is_a_new_task(domain: Domain) -> None:
    claim = domain.running(idempotency_key="k")
    domain.runs.complete(claim, {})
    age(domain, 10)
    prune(domain.rt, "demo", Policy(task_days=9))
    again = domain.submit(idempotency_key="k")
    assert again != claim.task_id
    assert domain.story(again) == ["SUBMITTED"] if not head(domain).min_seq else stored(domain) == [head(domain).seq]


def test_what_is_foreseen_is_what_is_done(domain: Domain) -> None:
    completed(domain)
    domain.failed()
    age(domain, 10)
    completed(domain)
    for policy in (Policy(), Policy(event_days=9), Policy(task_days=9), Policy(events=2), EVERYTHING):
        before = (stored(domain), tasks(domain), head(domain))
        foreseen = foresee(domain.rt, "demo", policy)
        assert (stored(domain), tasks(domain), head(domain)) == before
        assert prune(domain.rt, "demo", policy) == foreseen


def test_an_instance_that_is_not_there_is_told(domain: Domain) -> None:
    for act in (prune, foresee):
        with pytest.raises(NotFound):
            act(domain.rt, "nowhere", EVERYTHING)


def test_other_instances_are_left_alone(domain: Domain) -> None:
    domain.create_instance("Other", "other")
    domain.submit()
    domain.submit("other")
    prune(domain.rt, "demo", EVERYTHING)
    assert (head(domain).min_seq, head(domain, "other").min_seq) == (1, 0)
    assert len(domain.log("other")) == 1


def test_whoever_may_not_does_not_and_whoever_may_is_in_the_audit_log(domain: Domain) -> None:
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


def test_a_turn_is_one_processs_until_its_time_is_over(new_domain_on: NewDomain) -> None:
    first, second = new_domain_on(), new_domain_on()
    assert take_turn(first.db, "sweep the floor", 60)
    assert not take_turn(second.db, "sweep the floor", 60)
    assert not take_turn(first.db, "sweep the floor", 60)
    assert take_turn(second.db, "another", -1)
    assert take_turn(first.db, "another", 60)
    assert not take_turn(second.db, "another", 60)


def test_a_turn_that_many_reach_for_is_taken_once(new_domain_on: NewDomain) -> None:
    domains = [new_domain_on() for _ in range(4)]
    got: list[bool] = []
    gate = threading.Barrier(len(domains))

    def reach(domain: Domain) -> None:
        gate.wait()
        got.append(take_turn(domain.db, "many", 60))

    threads = [threading.Thread(target=reach, args=(domain,)) for domain in domains]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == [False, False, False, True]


def test_whoever_has_the_turn_prunes_every_instance_by_its_policy(new_domain_on: NewDomain) -> None:
    domain = new_domain_on(event_retention_events=2, prune_floor=0)
    domain.create_instance("Other", "other")
    for instance_id in ("demo", "other"):
        for _ in range(5):
            domain.submit(instance_id)
    assert prune_due(domain.rt, lambda: True) == 6
    assert head(domain).min_seq == head(domain, "other").min_seq == 3
    domain.submit()
    assert prune_due(domain.rt, lambda: True) == 0
    assert not take_turn(domain.db, DUTY, 60)


def test_a_policy_of_one_instance_is_enough_to_begin(new_domain_on: NewDomain) -> None:
    domain = new_domain_on()
    domain.create_instance("Other", "other")
    for instance_id in ("demo", "other"):
        domain.submit(instance_id)
    age(domain, 10)
    decide(domain, event_days=9.0)
    assert prune_due(domain.rt, lambda: True) == 1
    assert (head(domain).min_seq, head(domain, "other").min_seq) == (1, 0)


def test_several_at_once_beside_an_author_take_nothing_twice_and_leave_no_gap(new_domain_on: NewDomain) -> None:
    domains = [new_domain_on(prune_batch=7) for _ in range(4)]
    author, witness, *pruners = domains
    taken: list[int] = []
    faults: list[str] = []
    written = threading.Event()

    def go_on_pruning(domain: Domain) -> None:
        while not written.is_set():
            taken.append(prune(domain.rt, "demo", Policy(events=5)).events)

    def watch() -> None:
        while not written.is_set():
            with witness.db.read() as session:
                seen = read_head(session, "demo")
                assert seen is not None
                found = numbers(read_events(session, "demo", 0, 10_000))
            if found != list(range(seen.min_seq + 1, seen.seq + 1)):
                faults.append(f"{found} between {seen}")

    threads = [threading.Thread(target=go_on_pruning, args=(domain,)) for domain in pruners]
    threads.append(threading.Thread(target=watch))
    for thread in threads:
        thread.start()
    for _ in range(150):
        author.submit()
    written.set()
    for thread in threads:
        thread.join()
    taken.append(prune(author.rt, "demo", Policy(events=5)).events)
    assert faults == []
    assert sum(taken) == head(author).min_seq == 145
    assert stored(author) == list(range(146, 151))
