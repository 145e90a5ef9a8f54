"""Messages that the broker lost are sent again at once to an idle queue, and duplicates of one hide no other."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import update

from swallowtail.app.core.database.database import db_now
from swallowtail.app.core.tables.tasks import Outbox
from tests.core.domain import Domain
from tests.service.broker_queue import ids, take_all

pytestmark = pytest.mark.service

NewDomain = Callable[..., Domain]


def let_time_pass(domain: Domain, seconds: float) -> None:
    """Move the send times into the past, and let the next check follow at once."""
    with domain.db.write() as session:
        session.execute(update(Outbox).where(Outbox.sends > 0).values(sent_at=db_now(-seconds)))


def test_messages_that_no_worker_claimed_are_sent_again_at_once_when_the_queue_is_empty(
    new_domain: NewDomain, broker_url: str
) -> None:
    domain = new_domain(broker_url=broker_url, resend_idle=3.0, sweep_interval=1e-6)
    tasks = sorted(domain.submit() for _ in range(3))
    assert domain.rt.relay.run_due() == 3
    for _ in range(5):
        # Even after many losses, it is sent again without a longer delay.
        assert domain.rt.relay.find_lost() == 0, "they may still be on their way"
        let_time_pass(domain, 4.0)
        assert domain.rt.relay.find_lost() == 0, "they are in the queue"
        assert ids(take_all(domain.settings)) == [(task, 1) for task in tasks]
        assert domain.rt.relay.find_lost() == 3
        assert domain.rt.relay.run_due() == 3


def test_no_message_is_considered_lost_while_the_queue_is_not_empty(new_domain: NewDomain, broker_url: str) -> None:
    domain = new_domain(broker_url=broker_url, sweep_interval=1e-6)
    domain.submit()
    assert domain.rt.relay.run_due() == 1
    let_time_pass(domain, 100.0)
    assert domain.rt.relay.find_lost() == 0
    assert domain.rt.relay.run_due() == 0


def test_a_claimed_task_and_a_delayed_one_are_not_lost(new_domain: NewDomain, broker_url: str) -> None:
    domain = new_domain(broker_url=broker_url, sweep_interval=1e-6)
    domain.claim(domain.queued())
    domain.runs.retry_later(domain.running(), {"code": "exception", "message": "It broke"}, 60.0)
    let_time_pass(domain, 100.0)
    assert domain.rt.relay.find_lost() == 0


def test_no_message_is_considered_lost_while_the_broker_is_unavailable(new_domain: NewDomain) -> None:
    domain = new_domain(broker_url="amqp://guest:guest@127.0.0.1:1//", send_timeout=0.5, sweep_interval=1e-6)
    task_id = domain.queued()
    let_time_pass(domain, 100.0)
    assert domain.rt.relay.find_lost() == 0
    assert domain.outbox() == {task_id: (1, 1)}


def test_one_process_at_a_time_searches(new_domain: NewDomain, redis_url: str) -> None:
    first, second = (new_domain(redis_url=redis_url, sweep_interval=600.0) for _ in range(2))
    first.queued()
    let_time_pass(first, 100.0)
    assert (first.rt.relay.find_lost(), second.rt.relay.find_lost()) == (1, 0)


def test_messages_sent_because_one_was_lost_do_not_hide_the_loss_of_another(
    new_domain: NewDomain, broker_url: str
) -> None:
    domain = new_domain(broker_url=broker_url, resend_after=20.0)
    first, second = domain.submit(), domain.submit()
    assert domain.rt.relay.run_due() == 2
    take_all(domain.settings)
    domain.make_due(first)
    assert domain.rt.relay.run_due() == 1, "the first one's is sent again"
    # The queue now holds as many messages as if both of the second task were in it.
    for _ in range(2):
        domain.make_due(first)
        domain.rt.relay.run_due()
    domain.make_due(second)
    assert domain.rt.relay.run_due() == 1
    assert (second, 1) in ids(take_all(domain.settings))


@pytest.mark.long
def test_one_sweep_sends_all_due_messages(new_domain: NewDomain, redis_url: str) -> None:
    # A sweep sends for at most one interval; a slow machine needs seconds for this many.
    domain = new_domain(redis_url=redis_url, sweep_interval=600.0)
    tasks = sorted(domain.submit() for _ in range(205))
    assert domain.rt.make_sweeper().run_once() == 205
    assert ids(take_all(domain.settings)) == [(task, 1) for task in tasks]
