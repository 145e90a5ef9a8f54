"""Cases of the upgrade from long polling to a websocket; see `engine_cases`."""

from __future__ import annotations

from collections.abc import Callable

from tests.conformance.line import GRACE, Peer, expect, expect_no_socket


def upgrade(peer: Peer) -> None:
    """Probe, its reply, a NOOP for the open poll, UPGRADE: the session continues over the websocket."""
    sid = peer.session()
    with peer.socket(sid=sid) as line:
        line.send("2probe")
        expect(line.take(), "3probe", "answer to the probe")
        polled = peer.get(sid)
        expect((polled.status_code, polled.text), (200, "6"), "the poll")
        line.send("5", "40")
        # A NOOP ends a poll, and has no business here.
        expect(str(line.take())[:3], "40{", "answer over the websocket")


def upgrade_without_a_poll(peer: Peer) -> None:
    """A NOOP without an open poll is not sent over the websocket."""
    with _upgraded(peer) as line:
        line.line.send("40")
        line.line.take_connect()


def upgrade_in_a_burst(peer: Peer) -> None:
    """Messages sent during an upgrade arrive completely and in order, by the poll or by the websocket."""
    sid = peer.joined()
    peer.post('42["burst",60]', sid)
    received: list[str] = []
    with peer.socket(sid=sid) as line:
        line.send("2probe")
        expect(line.take(), "3probe", "answer to the probe")
        received += peer.poll_until(sid, lambda packets: "6" in packets)
        line.send("5")
        while '42["note",59]' not in received:
            received.append(str(line.take()))
    expect([p for p in received if "note" in p], [f'42["note",{number}]' for number in range(60)], "packets")


def upgrade_then_polling(peer: Peer) -> None:
    """After an upgrade the session cannot be polled; the attempt does not affect the websocket."""
    with _upgraded(peer) as line:
        line.line.send("40")
        line.line.take_connect()
        expect(peer.get(line.sid).status_code, 400, "status of GET")
        if peer.sends_connected:
            line.line.take_event("connected")
        line.line.send("421" + peer.wants())
        line.line.take_ack(1)


def upgrade_twice(peer: Peer) -> None:
    """A second websocket for an upgraded session is closed."""
    with _upgraded(peer) as line:
        line.line.send("40")
        line.line.take_connect()
        expect_no_socket(peer, sid=line.sid)


def upgrade_while_sending(peer: Peer) -> None:
    """Messages during an upgrade arrive complete and in order, in both directions."""
    sid = peer.joined()
    _post_notes(peer, sid, range(5))
    received: list[str] = []
    with peer.socket(sid=sid) as line:
        line.send("2probe")
        expect(line.take(), "3probe", "answer to the probe")
        _post_notes(peer, sid, range(5, 10))
        received += peer.poll_until(sid, lambda packets: "6" in packets)
        line.send("5", *(f'42["message",{number}]' for number in range(10, 15)))
        while '42["message-back",14]' not in received:
            received.append(str(line.take()))
    notes = [f'42["message-back",{number}]' for number in range(15)]
    expect([packet for packet in received if packet.startswith("42")], notes, "packets")


def _post_notes(peer: Peer, sid: str, numbers: range) -> None:
    for number in numbers:
        expect(peer.post(f'42["message",{number}]', sid).status_code, 200, "status of POST")


def upgrade_never_finished(peer: Peer) -> None:
    """A websocket that never sends UPGRADE is closed, and the session continues by polling."""
    sid = peer.joined()
    with peer.socket(sid=sid) as line:
        line.send("2probe")
        expect(line.take(), "3probe", "answer to the probe")
        line.expect_end(GRACE)
    _expect_polling(peer, sid)


def upgrade_without_a_probe(peer: Peer) -> None:
    """A websocket that begins with anything but a probe is closed, and the session continues by polling."""
    sid = peer.joined()
    with peer.socket(sid=sid) as line:
        line.send("6")
        line.expect_end(GRACE)
    _expect_polling(peer, sid)


def _expect_polling(peer: Peer, sid: str) -> None:
    expect(peer.post('42["message","on"]', sid).status_code, 200, "status of POST")
    peer.poll_until(sid, lambda packets: '42["message-back","on"]' in packets)


def upgrade_of_a_closed_session(peer: Peer) -> None:
    """The end of a session ends the websocket that it was to be upgraded to."""
    sid = peer.joined()
    with peer.socket(sid=sid) as line:
        line.send("2probe")
        expect(line.take(), "3probe", "answer to the probe")
        expect(peer.post("1", sid).status_code, 200, "status of POST")
        line.expect_end(GRACE)


def upgrade_then_ping(peer: Peer) -> None:
    """After an upgrade the pings arrive over the websocket, and the session stays open."""
    with _upgraded(peer) as upgraded:
        line = upgraded.line
        line.send("40")
        line.take_connect()
        line.outlive_pings(peer)


class _upgraded:  # noqa: N801 - reads like a function
    """An upgraded session."""

    def __init__(self, peer: Peer) -> None:
        self.sid = peer.session()
        self.line = peer.socket(sid=self.sid)
        self.line.send("2probe")
        expect(self.line.take(), "3probe", "answer to the probe")
        self.line.send("5")

    def __enter__(self) -> _upgraded:
        return self

    def __exit__(self, *arguments: object) -> None:
        self.line.__exit__(None, None, None)


UPGRADE_CASES: tuple[Callable[[Peer], None], ...] = (
    upgrade,
    upgrade_without_a_poll,
    upgrade_in_a_burst,
    upgrade_while_sending,
    upgrade_never_finished,
    upgrade_without_a_probe,
    upgrade_of_a_closed_session,
    upgrade_then_ping,
    upgrade_then_polling,
    upgrade_twice,
)
