"""The process's budget counts the queues of polling clients and responses that are being written."""

from __future__ import annotations

import gc
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from engineio import packet

from swallowtail.app.web.accept.response_budget import count_responses
from swallowtail.app.web.engineio.packets import SharedFrame, TextFrame
from swallowtail.app.web.engineio.polling_session import PollingSession
from swallowtail.app.web.engineio.stock_websocket import SOCKET
from swallowtail.app.web.websocket.outgoing_budget import OutgoingBudget
from tests.harness.settings import make_settings
from tests.harness.waiting import wait_until
from tests.web.app_fixture import WebApp
from tests.web.engineio.test_polling import Caller

MEGABYTE = 1_048_576


@pytest.fixture
def callers(tmp_path: Path) -> Iterator[Any]:
    settings = make_settings(var_dir=tmp_path, async_mode="threading", outbound_bytes=4 * MEGABYTE)
    web_app = WebApp(settings)
    yield lambda: Caller(web_app)
    web_app.close()


def budget_of(caller: Caller) -> OutgoingBudget:
    budget: OutgoingBudget = caller.session._budget
    return budget


def test_the_queue_of_a_client_that_polls_counts_until_it_is_fetched(callers: Any) -> None:
    one, two = callers(), callers()
    budget = budget_of(one)
    snapshot, event = b"1" * MEGABYTE, TextFrame(b"2[3]")
    for caller in (one, two):
        caller.session.send(SharedFrame(b"430[", snapshot, b"]"))
        caller.session.send(event)
    # The shared message is kept once.
    assert MEGABYTE < budget.used < MEGABYTE + 200
    assert len(one.poll()) == 2
    assert budget.used > MEGABYTE
    assert len(two.poll()) == 2
    assert (budget.used, len(budget._receivers)) == (0, 0)


def test_text_of_other_programs_counts_too(callers: Any) -> None:
    caller = callers()
    caller.session.send(packet.Packet(packet.MESSAGE, "2" * 1000))
    assert budget_of(caller).used == 1000
    caller.poll()
    assert budget_of(caller).used == 0


def test_over_the_budget_the_session_that_polled_longest_ago_ends(callers: Any) -> None:
    slow, quick, late = callers(), callers(), callers()
    budget = budget_of(slow)
    sessions = slow.server.eio.sockets
    for caller in (slow, quick):
        caller.session.send(SharedFrame(b"4[", b"%d" % id(caller) * (MEGABYTE // 10), b"]"))
    session = slow.session
    quick.poll()
    for _ in range(3):
        late.session.send(SharedFrame(b"4[", b"x" * (MEGABYTE - len(sessions)), b"]"))
    wait_until(lambda: slow.sid not in sessions, "it is closed")
    assert session.closed
    assert session.queue.get(block=False) is None
    assert sorted(sessions) == sorted([quick.sid, late.sid])
    assert budget.used < 4 * MEGABYTE
    assert len(late.poll()) == 3


def test_the_queue_of_an_ended_session_counts_until_it_is_forgotten(callers: Any) -> None:
    caller = callers()
    budget = budget_of(caller)
    caller.session.send(SharedFrame(b"4[", b"1" * MEGABYTE, b"]"))
    caller.server.eio.disconnect(caller.sid)
    assert (budget.used > MEGABYTE, len(budget._receivers)) == (True, 0)


def test_a_forgotten_session_releases_its_queue(callers: Any) -> None:
    caller = callers()
    budget = budget_of(caller)
    forgotten = PollingSession(caller.server.eio, "x", caller.session._settings, caller.session._budgets)
    forgotten.send(SharedFrame(b"4[", b"1" * MEGABYTE, b"]"))
    # The server ended it; the library forgets such sessions after a while.
    budget.remove_receiver(forgotten)
    assert budget.used > MEGABYTE
    del forgotten
    gc.collect()
    assert budget.used == 0


def test_a_closed_client_releases_its_queue(callers: Any) -> None:
    caller = callers()
    budget = budget_of(caller)
    caller.session.send(SharedFrame(b"4[", b"1" * MEGABYTE, b"]"))
    caller.session.close(wait=False, abort=True, reason=caller.server.eio.reason.PING_TIMEOUT)
    assert (budget.used, len(budget._receivers)) == (0, 0)


def test_a_response_counts_while_it_is_written_and_may_be_aborted() -> None:
    budget = OutgoingBudget(MEGABYTE)
    ours, theirs = socket.socketpair()
    app = count_responses(lambda environ, start: iter([b"a" * 10, b"b" * MEGABYTE, b"c"]), budget)
    answer = iter(app({SOCKET: ours}, None))
    assert (len(next(answer)), budget.used) == (10, 0)
    assert (len(next(answer)), budget.used) == (MEGABYTE, MEGABYTE)
    more = b"d" * 10
    budget.add(more)
    budget.enforce()
    theirs.settimeout(10)
    assert theirs.recv(10) == b"", "it was cut off"
    assert next(answer) == b"c"
    assert budget.used == len(more)
    ours.close()
    theirs.close()


def test_small_lists_keep_their_length_for_the_server() -> None:
    small = [b"ok"]
    app = count_responses(lambda environ, start: small, OutgoingBudget(MEGABYTE))
    assert app({SOCKET: None}, None) is small
