"""Pruning that is due: every instance by its policy, by one process at a time, beside a writer."""

from __future__ import annotations

import threading
from collections.abc import Callable

from swallowtail.app.core.coordination.periodic_lock import acquire_periodic_lock
from swallowtail.app.core.ledger.event_log import read_events, read_head
from swallowtail.app.core.maintenance.retention import LOCK, Policy, prune, prune_due
from tests.core.domain import Domain, numbers
from tests.core.maintenance.retained_log import age, head, set_policy, stored

NewDomain = Callable[..., Domain]


def test_the_process_with_the_lock_prunes_every_instance_by_its_policy(new_domain_on: NewDomain) -> None:
    domain = new_domain_on(event_retention_events=2, prune_floor=0)
    domain.create_instance("Other", "other")
    for instance_id in ("demo", "other"):
        for _ in range(5):
            domain.submit(instance_id)
    assert prune_due(domain.rt, lambda: True) == 6
    assert head(domain).min_seq == head(domain, "other").min_seq == 3
    domain.submit()
    assert prune_due(domain.rt, lambda: True) == 0
    assert not acquire_periodic_lock(domain.db, LOCK, 60)


def test_the_policy_of_one_instance_is_enough(new_domain_on: NewDomain) -> None:
    domain = new_domain_on()
    domain.create_instance("Other", "other")
    for instance_id in ("demo", "other"):
        domain.submit(instance_id)
    age(domain, 10)
    set_policy(domain, event_days=9.0)
    assert prune_due(domain.rt, lambda: True) == 1
    assert (head(domain).min_seq, head(domain, "other").min_seq) == (1, 0)


def test_concurrent_prunings_delete_nothing_twice_and_leave_no_gap(new_domain_on: NewDomain) -> None:
    domains = [new_domain_on(prune_batch=7) for _ in range(4)]
    writer, reader, *pruners = domains
    deleted: list[int] = []
    faults: list[str] = []
    written = threading.Event()

    def keep_pruning(domain: Domain) -> None:
        while not written.is_set():
            deleted.append(prune(domain.rt, "demo", Policy(events=5)).events)

    def check() -> None:
        while not written.is_set():
            with reader.db.read() as session:
                seen = read_head(session, "demo")
                assert seen is not None
                present = numbers(read_events(session, "demo", 0, 10_000))
            if present != list(range(seen.min_seq + 1, seen.seq + 1)):
                faults.append(f"{present} between {seen}")

    threads = [threading.Thread(target=keep_pruning, args=(domain,)) for domain in pruners]
    threads.append(threading.Thread(target=check))
    for thread in threads:
        thread.start()
    for _ in range(150):
        writer.submit()
    written.set()
    for thread in threads:
        thread.join()
    deleted.append(prune(writer.rt, "demo", Policy(events=5)).events)
    assert faults == []
    assert sum(deleted) == head(writer).min_seq == 145
    assert stored(writer) == list(range(146, 151))
