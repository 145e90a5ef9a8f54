"""What waits for clients that poll, and answers that are being written, are in the process's budget."""

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
from swallowtail.app.web.engineio.polling_session import Session
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


def outbound_of(caller: Caller) -> OutgoingBudget:
    found: OutgoingBudget = caller.session._outbound
    return found


def test_the_queue_of_a_client_that_polls_counts_until_it_is_fetched(callers: Any) -> None:
    one, two = callers(), callers()
    outbound = outbound_of(one)
    snapshot, event = b"1" * MEGABYTE, TextFrame(b"2[3]")
    for caller in (one, two):
        caller.session.send(SharedFrame(b"430[", snapshot, b"]"))
        caller.session.send(event)
    # What both wait for is there once.
    assert MEGABYTE < outbound.used < MEGABYTE + 200
    assert len(one.poll()) == 2
    assert outbound.used > MEGABYTE
    assert len(two.poll()) == 2
    assert (outbound.used, len(outbound)) == (0, 0)


def test_text_of_other_programs_counts_too(callers: Any) -> None:
    caller = callers()
    caller.session.send(packet.Packet(packet.MESSAGE, "2" * 1000))
    assert outbound_of(caller).used == 1000
    caller.poll()
    assert outbound_of(caller).used == 0


def test_over_the_budget_the_session_that_polled_longest_ago_ends(callers: Any) -> None:
    slow, quick, late = callers(), callers(), callers()
    outbound = outbound_of(slow)
    sessions = slow.server.eio.sockets
    for caller in (slow, quick):
        caller.session.send(SharedFrame(b"4[", b"%d" % id(caller) * (MEGABYTE // 10), b"]"))
    gone = slow.session
    quick.poll()
    for _ in range(3):
        late.session.send(SharedFrame(b"4[", b"x" * (MEGABYTE - len(sessions)), b"]"))
    wait_until(lambda: slow.sid not in sessions, "it is closed")
    assert gone.closed
    assert gone.queue.get(block=False) is None
    assert sorted(sessions) == sorted([quick.sid, late.sid])
    assert outbound.used < 4 * MEGABYTE
    assert len(late.poll()) == 3


def test_what_nobody_fetches_of_a_session_that_is_over_counts_until_it_is_forgotten(callers: Any) -> None:
    caller = callers()
    outbound = outbound_of(caller)
    caller.session.send(SharedFrame(b"4[", b"1" * MEGABYTE, b"]"))
    caller.server.eio.disconnect(caller.sid)
    assert (outbound.used > MEGABYTE, len(outbound)) == (True, 0)


def test_a_session_that_is_forgotten_lets_go_of_the_rest(callers: Any) -> None:
    caller = callers()
    outbound = outbound_of(caller)
    forgotten = Session(caller.server.eio, "x", caller.session._settings, caller.session._budgets)
    forgotten.send(SharedFrame(b"4[", b"1" * MEGABYTE, b"]"))
    # As when the server ended it; the library forgets such sessions after a while.
    outbound.leave(forgotten)
    assert outbound.used > MEGABYTE
    del forgotten
    gc.collect()
    assert outbound.used == 0


def test_a_client_that_goes_lets_go_of_what_waits_for_it(callers: Any) -> None:
    caller = callers()
    outbound = outbound_of(caller)
    caller.session.send(SharedFrame(b"4[", b"1" * MEGABYTE, b"]"))
    caller.session.close(wait=False, abort=True, reason=caller.server.eio.reason.PING_TIMEOUT)
    assert (outbound.used, len(outbound)) == (0, 0)


def test_an_answer_counts_while_it_is_written_and_its_connection_may_have_to_go() -> None:
    outbound = OutgoingBudget(MEGABYTE)
    ours, theirs = socket.socketpair()
    app = count_responses(lambda environ, start: iter([b"a" * 10, b"b" * MEGABYTE, b"c"]), outbound)
    answer = iter(app({SOCKET: ours}, None))
    assert (len(next(answer)), outbound.used) == (10, 0)
    assert (len(next(answer)), outbound.used) == (MEGABYTE, MEGABYTE)
    more = b"d" * 10
    outbound.hold(more)
    outbound.relieve()
    theirs.settimeout(10)
    assert theirs.recv(10) == b"", "it was cut off"
    assert next(answer) == b"c"
    assert outbound.used == len(more)
    ours.close()
    theirs.close()


def test_small_lists_keep_their_length_for_the_server() -> None:
    small = [b"ok"]
    app = count_responses(lambda environ, start: small, OutgoingBudget(MEGABYTE))
    assert app({SOCKET: None}, None) is small
