"""One process at a time has the lock of periodic work."""

from __future__ import annotations

import threading
from collections.abc import Callable

from swallowtail.app.core.coordination.periodic_lock import acquire_periodic_lock
from tests.core.domain import Domain

NewDomain = Callable[..., Domain]


def test_one_process_has_a_lock_until_its_time_is_over(new_domain_on: NewDomain) -> None:
    first, second = new_domain_on(), new_domain_on()
    assert acquire_periodic_lock(first.db, "one", 60)
    assert not acquire_periodic_lock(second.db, "one", 60)
    assert not acquire_periodic_lock(first.db, "one", 60)
    assert acquire_periodic_lock(second.db, "another", -1)
    assert acquire_periodic_lock(first.db, "another", 60)
    assert not acquire_periodic_lock(second.db, "another", 60)


def test_one_of_many_processes_acquires_a_lock(new_domain_on: NewDomain) -> None:
    domains = [new_domain_on() for _ in range(4)]
    acquired: list[bool] = []
    start = threading.Barrier(len(domains))

    def acquire(domain: Domain) -> None:
        start.wait()
        acquired.append(acquire_periodic_lock(domain.db, "many", 60))

    threads = [threading.Thread(target=acquire, args=(domain,)) for domain in domains]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(acquired) == [False, False, False, True]
