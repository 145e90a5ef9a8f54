"""What the document of the Engine.IO protocol, v4, has servers do, case by case as its own test suite has them.

Its suite speaks to a server that echoes; here a server is asked to connect a namespace, which it answers as well.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

import httpx

from tests.conformance.line import Peer, Surprise, expect, read_open
from tests.conformance.polling_cases import (
    polling_binary,
    polling_by_another_transport,
    polling_cancelled,
    polling_close,
    polling_many_answers,
    polling_many_packets,
    polling_noop,
    polling_one_packet,
    polling_several_packets,
    polling_too_large,
    polling_twice_at_once,
    polling_wrong_packet,
)

HANDSHAKE = {"sid", "upgrades", "pingInterval", "pingTimeout", "maxPayload"}
#: Seconds after which a silent client must be gone: both intervals of the handshake, and some for a busy machine.
GRACE = 40.0


def polling_opens(peer: Peer) -> None:
    """A GET without a sid opens a session."""
    answer = peer.get()
    expect(answer.status_code, 200, "status")
    told = read_open(answer.text)
    expect(set(told), HANDSHAKE, "fields")
    expect(told["upgrades"], ["websocket"], "upgrades")
    if not all(isinstance(told[name], int) and told[name] > 0 for name in ("pingInterval", "pingTimeout")):
        raise Surprise(f"intervals: {told}")


def polling_wrong_version(peer: Peer) -> None:
    """A request without EIO, or with one that is none, is refused."""
    for version in ("", "abc"):
        expect(peer.get(EIO=version).status_code, 400, f"status for EIO={version!r}")


def polling_wrong_transport(peer: Peer) -> None:
    """A request without a transport, or with one that is none, is refused."""
    for transport in ("", "abc"):
        expect(peer.get(transport=transport).status_code, 400, f"status for transport={transport!r}")


def polling_wrong_method(peer: Peer) -> None:
    """Only GET opens a session."""
    expect(httpx.post(peer.http()).status_code, 400, "status of POST")
    expect(httpx.put(peer.http()).status_code, 400, "status of PUT")


def polling_unknown_session(peer: Peer) -> None:
    """A sid that nobody gave out is refused."""
    expect(peer.get("nobody").status_code, 400, "status of GET")
    expect(peer.post("40", "nobody").status_code, 400, "status of POST")


def websocket_opens(peer: Peer) -> None:
    """A websocket without a sid opens a session that cannot be upgraded any further."""
    with peer.socket() as line:
        told = line.take_open()
        expect(set(told), HANDSHAKE, "fields")
        expect(told["upgrades"], [], "upgrades")


def websocket_wrong_version(peer: Peer) -> None:
    """A websocket without EIO, or with one that is none, ends."""
    for version in ("", "abc"):
        _expect_no_socket(peer, EIO=version)


def websocket_wrong_transport(peer: Peer) -> None:
    """A websocket without a transport, or with one that is none, ends."""
    for transport in ("", "abc"):
        _expect_no_socket(peer, transport=transport)


def websocket_unknown_session(peer: Peer) -> None:
    """A websocket for a sid that nobody gave out ends."""
    _expect_no_socket(peer, sid="nobody")


def _expect_no_socket(peer: Peer, **query: str) -> None:
    try:
        line = peer.socket(**query)
    except Surprise:
        return
    with line:
        line.expect_end()


def websocket_text(peer: Peer) -> None:
    """Text is heard and answered."""
    with peer.opened() as line:
        line.send("40")
        line.take_connect()


def websocket_binary(peer: Peer) -> None:
    """Binary is heard as what it is."""
    with peer.connected() as line:
        line.send('451-["message",{"_placeholder":true,"num":0}]', b"\x01\x02\x03\x04")
        line.take_packet('451-["message-back"', 4)
        expect(line.take(), b"\x01\x02\x03\x04", "attachment")


def websocket_wrong_packet(peer: Peer) -> None:
    """A message that is no packet closes the session."""
    for packet in ("abc", "7", ""):
        with peer.opened() as line:
            line.send(packet)
            line.expect_end()


def websocket_noop(peer: Peer) -> None:
    """A NOOP of the client means nothing, and hurts nothing."""
    with peer.connected() as line:
        line.send("6", "421" + peer.wants())
        line.take_ack(1)


def websocket_too_large(peer: Peer) -> None:
    """A message above the handshake's maxPayload ends the connection."""
    with peer.socket() as line:
        most = line.take_open()["maxPayload"]
        with contextlib.suppress(OSError):
            line.send("4" + "a" * (most + 1))
        line.expect_end()


def polling_ping(peer: Peer) -> None:
    """The server pings, the client answers, and the session lives."""
    sid = peer.joined()
    answer = peer.get(sid, timeout=GRACE)
    expect((answer.status_code, answer.text), (200, "2"), "poll")
    expect(peer.post("3", sid).status_code, 200, "status of the pong")
    expect(peer.post("421" + peer.wants(), sid).status_code, 200, "status of a later packet")


def polling_ping_timeout(peer: Peer) -> None:
    """A client that never answers a ping is gone."""
    told = read_open(peer.get().text)
    expect(peer.post("40", told["sid"]).status_code, 200, "status of a packet")
    time.sleep((told["pingInterval"] + told["pingTimeout"]) / 1000 + 2)
    expect(peer.post("3", told["sid"]).status_code, 400, "status afterwards")


def websocket_ping(peer: Peer) -> None:
    """The server pings, the client answers, and the session lives."""
    with peer.connected() as line:
        line._socket.settimeout(GRACE)
        while line.take(pings=True) != "2":
            continue
        line.send("3", "421" + peer.wants())
        line.take_ack(1)


def websocket_ping_timeout(peer: Peer) -> None:
    """A client that never answers a ping is cut off."""
    with peer.socket() as line:
        told = line.take_open()
        line.send("40")
        line.expect_end((told["pingInterval"] + told["pingTimeout"]) / 1000 + GRACE)


def websocket_close(peer: Peer) -> None:
    """A CLOSE ends the connection."""
    with peer.opened() as line:
        line.send("1")
        line.expect_end()


def upgrade(peer: Peer) -> None:
    """Probe, probed, a NOOP for the open poll, UPGRADE: the session goes on over the websocket."""
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
    """A NOOP that no poll was there for does not come over the websocket."""
    with _upgraded(peer) as line:
        line.line.send("40")
        line.line.take_connect()


def upgrade_in_a_burst(peer: Peer) -> None:
    """What is on its way while a session is upgraded comes whole and in order, by the poll or by the websocket."""
    sid = peer.joined()
    peer.post('42["burst",60]', sid)
    heard: list[str] = []
    with peer.socket(sid=sid) as line:
        line.send("2probe")
        expect(line.take(), "3probe", "answer to the probe")
        while not heard or heard[-1] != "6":
            heard += peer.poll(sid)
        line.send("5")
        while '42["note",59]' not in heard:
            heard.append(str(line.take()))
    expect([p for p in heard if "note" in p], [f'42["note",{number}]' for number in range(60)], "packets")


def upgrade_then_polling(peer: Peer) -> None:
    """After an upgrade the session cannot be polled; the websocket is not hurt by the attempt."""
    with _upgraded(peer) as line:
        line.line.send("40")
        line.line.take_connect()
        expect(peer.get(line.sid, timeout=10).status_code, 400, "status of GET")
        if peer.greets:
            line.line.take_event("connected")
        line.line.send("421" + peer.wants())
        line.line.take_ack(1)


def upgrade_twice(peer: Peer) -> None:
    """A second websocket for an upgraded session ends."""
    with _upgraded(peer) as line:
        line.line.send("40")
        line.line.take_connect()
        _expect_no_socket(peer, sid=line.sid)


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

    def __exit__(self, *given: object) -> None:
        self.line.__exit__(None, None, None)


ENGINE_CASES: tuple[Callable[[Peer], None], ...] = (
    polling_opens,
    polling_wrong_version,
    polling_wrong_transport,
    polling_wrong_method,
    polling_unknown_session,
    websocket_opens,
    websocket_wrong_version,
    websocket_wrong_transport,
    websocket_unknown_session,
    polling_one_packet,
    polling_several_packets,
    polling_binary,
    polling_many_packets,
    polling_many_answers,
    polling_too_large,
    polling_noop,
    polling_by_another_transport,
    polling_wrong_packet,
    polling_twice_at_once,
    polling_cancelled,
    websocket_text,
    websocket_binary,
    websocket_wrong_packet,
    websocket_noop,
    websocket_too_large,
    polling_ping,
    polling_ping_timeout,
    websocket_ping,
    websocket_ping_timeout,
    polling_close,
    websocket_close,
    upgrade,
    upgrade_without_a_poll,
    upgrade_in_a_burst,
    upgrade_then_polling,
    upgrade_twice,
)
