"""Another epoch keeps the log and says that its numbers may have been others'."""

from __future__ import annotations

import pytest

from app.core.epochs import renew_epoch
from app.core.errors import NotFound
from app.core.log import read_head
from app.core.retention import Policy, prune
from tests.core.stage import Stage, numbers


def epochs(stage: Stage, instance_id: str = "demo") -> set[str]:
    return {event.epoch for event in stage.log(instance_id)}


def test_the_log_goes_on_with_its_events_and_numbers_in_another_epoch(stage: Stage) -> None:
    claim = stage.running()
    before = epochs(stage)
    head = renew_epoch(stage.rt, "demo")
    assert (head.seq, head.min_seq) == (3, 0)
    assert before != {head.epoch}
    stage.runs.complete(claim, {})
    assert epochs(stage) == {head.epoch}
    assert numbers(stage.log()) == [1, 2, 3, 4]
    assert stage.story() == ["SUBMITTED", "QUEUED", "IN_PROGRESS 0", "COMPLETED"]


def test_each_renewal_is_another_one_and_other_instances_keep_theirs(stage: Stage) -> None:
    stage.ledger.create_instance("Other", "other")
    stage.submit("other")
    theirs = epochs(stage, "other")
    assert renew_epoch(stage.rt, "demo").epoch != renew_epoch(stage.rt, "demo").epoch
    assert epochs(stage, "other") == theirs


def test_what_was_pruned_stays_pruned(stage: Stage) -> None:
    for _ in range(3):
        stage.submit()
    prune(stage.rt, "demo", Policy(events=1))
    renew_epoch(stage.rt, "demo")
    with stage.db.read() as session:
        head = read_head(session, "demo")
    assert head is not None
    assert (head.seq, head.min_seq) == (3, 2)


def test_an_instance_that_is_not_there_is_told(stage: Stage) -> None:
    with pytest.raises(NotFound):
        renew_epoch(stage.rt, "nowhere")
