"""Messages on the queue that no relay of ours sent: the worker throws them away, says so, and goes on."""

from __future__ import annotations

import uuid

import pytest

from app.core.outbox import RUN_TASK, make_sender
from tests.harness.house import House
from tests.harness.story import BEGINNING, steps, story

NOBODY = str(uuid.uuid4())


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("somebody.else", [NOBODY, 1]),
        (RUN_TASK, [NOBODY, 1]),
        (RUN_TASK, [NOBODY]),
        (RUN_TASK, ["no id", "no number", {}]),
    ],
    ids=["unknown task", "no such row", "too few arguments", "wrong arguments"],
)
def test_the_worker_goes_on_after_a_message_that_is_not_for_it(
    limited_house: House, name: str, args: list[object]
) -> None:
    instance = limited_house.new_instance()
    settings = limited_house.settings
    with make_sender(settings) as sender:
        sender.send_task(name, args=args, queue=settings.queue)
        task = limited_house.submit(instance, "probe", {"steps": 1})
        limited_house.wait_for_task(task)

    assert story(limited_house.events(instance)) == [*BEGINNING, *steps(1, "step-1"), "1: 100%", "1: COMPLETED"]


def test_a_revoked_message_cancels_its_task(limited_house: House) -> None:
    """Revoking is Celery's own way to cancel; an operator may use it, and the watchers are told."""
    instance = limited_house.new_instance()
    task = limited_house.submit(instance, "probe", {"steps": 1, "seconds": 600, "blocking": True})
    limited_house.wait_for_step(instance, task, "step-1")
    with make_sender(limited_house.settings) as sender:
        [running] = [one for worker in (sender.control.inspect().active() or {}).values() for one in worker]
        sender.control.revoke(running["id"], terminate=True, signal="SIGKILL")
        limited_house.wait_for_task(task)

    assert story(limited_house.events(instance)) == [
        *BEGINNING,
        "1: step-1 in_progress",
        "1: step-1 failed cancelled",
        "1: CANCELLED",
    ]
