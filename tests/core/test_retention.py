"""What is no longer kept goes from the old end, in batches, and never without the number that says so."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update

from app.core.access import Actor, Caller
from app.core.db import db_now
from app.core.duty import take_turn
from app.core.errors import Forbidden, NotFound
from app.core.log import Head, read_events, read_head
from app.core.models import Event, Outbox, Step, Task
from app.core.models_access import Membership, User
from app.core.models_audit import AuditEntry
from app.core.models_privacy import Artifact, InstancePolicy
from app.core.retention import DUTY, Policy, Pruned, foresee, prune, prune_due, read_policy
from app.core.states import TaskStatus
from tests.core.stage import Stage, numbers

NewStage = Callable[..., Stage]
EVERYTHING = Policy(events=0)


def head(stage: Stage, instance_id: str = "demo") -> Head:
    with stage.db.read() as session:
        found = read_head(session, instance_id)
    assert found is not None
    return found


def stored(stage: Stage) -> list[int]:
    with stage.db.read() as session:
        return numbers(read_events(session, "demo", 0, 1_000_000))


def age(stage: Stage, days: float, *, first: int = 1, last: int = 1_000_000) -> None:
    """Let events be so old, and every task that has ended be of that time too."""
    with stage.db.write() as session:
        moment = session.scalars(select(db_now())).one() - timedelta(days=days)
        session.execute(update(Event).where(Event.seq >= first, Event.seq <= last).values(created_at=moment))
        tasks = select(Event.task_id).where(Event.seq >= first, Event.seq <= last)
        session.execute(update(Task).where(Task.id.in_(tasks)).values(created_at=moment))
        session.execute(
            update(Task).where(Task.id.in_(tasks), Task.finished_at.is_not(None)).values(finished_at=moment)
        )


def completed(stage: Stage) -> str:
    """A task of six events that has completed."""
    claim = stage.running()
    stage.perform(claim, "a")
    stage.runs.complete(claim, {})
    return claim.task_id


def decide(stage: Stage, **fields: Any) -> None:
    with stage.db.write() as session:
        session.merge(InstancePolicy(instance_id="demo", updated_at=session.scalars(select(db_now())).one(), **fields))


def policy_of(stage: Stage) -> Policy:
    with stage.db.read() as session:
        return read_policy(session, stage.settings, "demo")


def tasks(stage: Stage) -> set[str]:
    with stage.db.read() as session:
        return set(session.scalars(select(Task.id)))


def test_events_that_are_too_old_go_with_the_number_that_says_so(stage: Stage) -> None:
    for _ in range(4):
        stage.submit()
    age(stage, 10, last=3)
    assert prune(stage.rt, "demo", Policy(event_days=9)) == Pruned(3, 0, 3)
    assert stored(stage) == [4]
    assert (head(stage).seq, head(stage).min_seq) == (4, 3)
    assert prune(stage.rt, "demo", Policy(event_days=9)) == Pruned(0, 0, 3)
    stage.submit()
    assert stored(stage) == [4, 5]


def test_all_but_the_latest_events_go(stage: Stage) -> None:
    for _ in range(10):
        stage.submit()
    assert prune(stage.rt, "demo", Policy(events=4)) == Pruned(6, 0, 6)
    assert stored(stage) == [7, 8, 9, 10]
    assert prune(stage.rt, "demo", EVERYTHING) == Pruned(4, 0, 10)
    assert (stored(stage), head(stage).min_seq) == ([], 10)


def test_the_log_goes_from_its_old_end_only(stage: Stage) -> None:
    for _ in range(5):
        stage.submit()
    age(stage, 10)
    age(stage, 1, first=3, last=3)
    assert prune(stage.rt, "demo", Policy(event_days=9)) == Pruned(2, 0, 2)
    assert stored(stage) == [3, 4, 5]


def test_what_is_young_is_never_pruned(stage: Stage) -> None:
    for _ in range(5):
        stage.submit()
    age(stage, 1, last=2)
    assert prune(stage.rt, "demo", Policy(events=0, floor=60)) == Pruned(2, 0, 2)
    assert stored(stage) == [3, 4, 5]


def test_without_a_policy_everything_is_kept(stage: Stage) -> None:
    completed(stage)
    age(stage, 10_000)
    assert policy_of(stage) == Policy(floor=stage.settings.prune_floor)
    assert prune(stage.rt, "demo") == Pruned(0, 0, 0)
    assert prune_due(stage.rt, lambda: True) == 0


def test_an_instances_own_policy_goes_before_the_settings(new_stage_on: NewStage) -> None:
    stage = new_stage_on(event_retention_days=5, task_retention_days=7, event_retention_events=100, prune_floor=1)
    assert policy_of(stage) == Policy(5, 100, 7, 1)
    decide(stage, event_days=2.5)
    assert policy_of(stage) == Policy(2.5, 100, 7, 1)
    decide(stage, event_days=0.0, task_days=0.0)
    assert policy_of(stage) == Policy(None, 100, None, 1)


def test_batches_are_bounded_and_between_them_it_may_be_stopped(new_stage_on: NewStage) -> None:
    stage = new_stage_on(prune_batch=3)
    for _ in range(10):
        stage.submit()
    asked: list[int] = []

    def may_go_on() -> bool:
        asked.append(head(stage).min_seq)
        return len(asked) < 2

    assert prune(stage.rt, "demo", EVERYTHING, may_go_on=may_go_on) == Pruned(6, 0, 6)
    assert asked == [3, 6, 6]
    assert prune(stage.rt, "demo", EVERYTHING) == Pruned(4, 0, 10)


def test_ended_tasks_go_with_all_that_is_theirs_and_with_their_events(stage: Stage) -> None:
    old, failed = completed(stage), stage.failed()
    with stage.db.write() as session:
        now = session.scalars(select(db_now())).one()
        session.add(
            Artifact(
                id="a", instance_id="demo", task_id=old, media_type="text/plain", size=1, sha256="", content=b"x",
                created_at=now,
            )
        )  # fmt: skip
    waiting = stage.submit()
    age(stage, 10)
    young = completed(stage)
    before = head(stage).seq
    done = prune(stage.rt, "demo", Policy(event_days=1000, task_days=9))
    assert (done.tasks, done.min_seq) == (2, before - 6)
    assert tasks(stage) == {waiting, young}
    assert failed not in tasks(stage)
    with stage.db.read() as session:
        assert set(session.scalars(select(Step.task_id))) == {young}
        assert set(session.scalars(select(Outbox.task_id))) == {waiting}
        assert session.scalar(select(func.count()).select_from(Artifact)) == 0
        told = {event.task_id for event in read_events(session, "demo", 0, 1000)}
    assert told == {young}


@pytest.mark.parametrize("status", list(TaskStatus))
def test_only_a_task_that_has_ended_goes(stage: Stage, status: TaskStatus) -> None:
    task_id = stage.bring_to(status)
    age(stage, 10)
    prune(stage.rt, "demo", Policy(task_days=9))
    ended = status in (TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.CANCELLED, TaskStatus.EXPIRED)
    assert (task_id in tasks(stage)) is not ended


def test_a_task_stays_as_long_as_one_of_its_events(stage: Stage) -> None:
    stage.submit()
    old = completed(stage)
    age(stage, 10, first=2)
    assert prune(stage.rt, "demo", Policy(task_days=9)) == Pruned(0, 0, 0)
    assert old in tasks(stage)
    age(stage, 10)
    assert prune(stage.rt, "demo", Policy(task_days=9)).tasks == 1


def test_a_task_that_is_retried_stays(stage: Stage) -> None:
    task_id = stage.failed()
    age(stage, 10)
    stage.ledger.retry(task_id)
    assert prune(stage.rt, "demo", Policy(task_days=9)).tasks == 0
    stage.runs.complete(stage.claim(task_id, 2), {})
    assert stage.task(task_id).status == "COMPLETED"


def test_the_same_submission_after_its_task_has_gone_is_a_new_task(stage: Stage) -> None:
    claim = stage.running(idempotency_key="k")
    stage.runs.complete(claim, {})
    age(stage, 10)
    prune(stage.rt, "demo", Policy(task_days=9))
    again = stage.submit(idempotency_key="k")
    assert again != claim.task_id
    assert stage.story(again) == ["SUBMITTED"] if not head(stage).min_seq else stored(stage) == [head(stage).seq]


def test_what_is_foreseen_is_what_is_done(stage: Stage) -> None:
    completed(stage)
    stage.failed()
    age(stage, 10)
    completed(stage)
    for policy in (Policy(), Policy(event_days=9), Policy(task_days=9), Policy(events=2), EVERYTHING):
        before = (stored(stage), tasks(stage), head(stage))
        foreseen = foresee(stage.rt, "demo", policy)
        assert (stored(stage), tasks(stage), head(stage)) == before
        assert prune(stage.rt, "demo", policy) == foreseen


def test_an_instance_that_is_not_there_is_told(stage: Stage) -> None:
    for act in (prune, foresee):
        with pytest.raises(NotFound):
            act(stage.rt, "nowhere", EVERYTHING)


def test_other_instances_are_left_alone(stage: Stage) -> None:
    stage.ledger.create_instance("Other", "other")
    stage.submit()
    stage.submit("other")
    prune(stage.rt, "demo", EVERYTHING)
    assert (head(stage).min_seq, head(stage, "other").min_seq) == (1, 0)
    assert len(stage.log("other")) == 1


def test_whoever_may_not_does_not_and_whoever_may_is_in_the_audit_log(stage: Stage) -> None:
    for name, role in (("olga", "owner"), ("adam", "admin")):
        with stage.db.write() as session:
            now = session.scalars(select(db_now())).one()
            session.add(User(id=name, name=name, is_superuser=False, generation=1, created_at=now))
            session.flush()
            session.add(Membership(instance_id="demo", user_id=name, role=role, created_at=now))
    stage.submit()
    stage.submit()
    by = {name: Caller(Actor("user", name, name, user_id=name), "cli") for name in ("olga", "adam")}
    with pytest.raises(Forbidden):
        prune(stage.rt.by(by["adam"]), "demo", EVERYTHING)
    assert head(stage).min_seq == 0
    assert prune(stage.rt.by(by["olga"]), "demo", EVERYTHING).events == 2
    prune(stage.rt.by(by["olga"]), "demo", EVERYTHING)
    with stage.db.read() as session:
        entries = session.execute(select(AuditEntry.actor_id, AuditEntry.action, AuditEntry.object_id)).all()
    assert [tuple(entry) for entry in entries] == [("olga", "instance.prune", "demo")]


def test_a_turn_is_one_processs_until_its_time_is_over(new_stage_on: NewStage) -> None:
    first, second = new_stage_on(), new_stage_on()
    assert take_turn(first.db, "sweep the floor", 60)
    assert not take_turn(second.db, "sweep the floor", 60)
    assert not take_turn(first.db, "sweep the floor", 60)
    assert take_turn(second.db, "another", -1)
    assert take_turn(first.db, "another", 60)
    assert not take_turn(second.db, "another", 60)


def test_a_turn_that_many_reach_for_is_taken_once(new_stage_on: NewStage) -> None:
    stages = [new_stage_on() for _ in range(4)]
    got: list[bool] = []
    gate = threading.Barrier(len(stages))

    def reach(stage: Stage) -> None:
        gate.wait()
        got.append(take_turn(stage.db, "many", 60))

    threads = [threading.Thread(target=reach, args=(stage,)) for stage in stages]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == [False, False, False, True]


def test_whoever_has_the_turn_prunes_every_instance_by_its_policy(new_stage_on: NewStage) -> None:
    stage = new_stage_on(event_retention_events=2, prune_floor=0)
    stage.ledger.create_instance("Other", "other")
    for instance_id in ("demo", "other"):
        for _ in range(5):
            stage.submit(instance_id)
    assert prune_due(stage.rt, lambda: True) == 6
    assert head(stage).min_seq == head(stage, "other").min_seq == 3
    stage.submit()
    assert prune_due(stage.rt, lambda: True) == 0
    assert not take_turn(stage.db, DUTY, 60)


def test_a_policy_of_one_instance_is_enough_to_begin(new_stage_on: NewStage) -> None:
    stage = new_stage_on()
    stage.ledger.create_instance("Other", "other")
    for instance_id in ("demo", "other"):
        stage.submit(instance_id)
    age(stage, 10)
    decide(stage, event_days=9.0)
    assert prune_due(stage.rt, lambda: True) == 1
    assert (head(stage).min_seq, head(stage, "other").min_seq) == (1, 0)


def test_several_at_once_beside_an_author_take_nothing_twice_and_leave_no_gap(new_stage_on: NewStage) -> None:
    stages = [new_stage_on(prune_batch=7) for _ in range(4)]
    author, witness, *pruners = stages
    taken: list[int] = []
    faults: list[str] = []
    written = threading.Event()

    def go_on_pruning(stage: Stage) -> None:
        while not written.is_set():
            taken.append(prune(stage.rt, "demo", Policy(events=5)).events)

    def watch() -> None:
        while not written.is_set():
            with witness.db.read() as session:
                seen = read_head(session, "demo")
                assert seen is not None
                found = numbers(read_events(session, "demo", 0, 10_000))
            if found != list(range(seen.min_seq + 1, seen.seq + 1)):
                faults.append(f"{found} between {seen}")

    threads = [threading.Thread(target=go_on_pruning, args=(stage,)) for stage in pruners]
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
