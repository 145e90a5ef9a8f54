"""Cases of the Socket.IO protocol, v5, from its document and its own test suite.

Its suite's server has a namespace `/custom` and events of its own, which `echo` gives to each server.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from tests.conformance.event_cases import EVENT_CASES
from tests.conformance.line import GRACE, Line, Peer, Surprise, expect
from tests.conformance.packet_cases import PACKET_CASES

#: Longest that a server may keep a connection which never connects to a namespace (45 s in the reference server).
CONNECT_WITHIN = 60.0


def connect(peer: Peer) -> None:
    """CONNECT to the main namespace is answered with a CONNECT that holds a sid, and nothing else."""
    with peer.opened() as line:
        line.send("40")
        fields = line.take_connect()
        expect(set(fields), {"sid"}, "fields")


def connect_with_payload(peer: Peer) -> None:
    """CONNECT may have a payload."""
    with peer.opened() as line:
        line.send('40{"token":"123"}')
        expect(set(line.take_connect()), {"sid"}, "fields")


def sids_differ(peer: Peer) -> None:
    """The sid of the namespace is not that of the connection."""
    with peer.socket() as line:
        outer = line.take_open()["sid"]
        line.send("40")
        if line.take_connect()["sid"] == outer:
            raise Surprise("one sid for both")


def connect_elsewhere(peer: Peer) -> None:
    """The reply to CONNECT to another namespace names it, and its events follow."""
    with peer.opened() as line:
        line.send("40/custom,")
        expect(set(_read_custom(line)), {"sid"}, "fields")
        expect(line.take(), '42/custom,["auth",{}]', "what it sends")


def connect_elsewhere_with_payload(peer: Peer) -> None:
    """CONNECT to another namespace may have a payload."""
    with peer.opened() as line:
        line.send('40/custom,{"token":"abc"}')
        expect(set(_read_custom(line)), {"sid"}, "fields")
        expect(line.take(), '42/custom,["auth",{"token":"abc"}]', "what it sends")


def _read_custom(line: Line) -> dict[str, Any]:
    packet = line.take()
    if not isinstance(packet, str) or not packet.startswith("40/custom,"):
        raise Surprise(f"not a CONNECT: {packet!r}")
    fields: dict[str, Any] = json.loads(packet.removeprefix("40/custom,"))
    return fields


def unknown_namespace(peer: Peer) -> None:
    """CONNECT to an unknown namespace is answered with CONNECT_ERROR and an object with a message."""
    with peer.opened() as line:
        line.send("40/random")
        _expect_refusal(line.take())


def unknown_namespace_beside(peer: Peer) -> None:
    """A refusal at one namespace does not affect the connection to another."""
    with peer.connected() as line:
        line.send("40/random,")
        _expect_refusal(line.take())
        line.send("421" + peer.wants())
        line.take_ack(1)


def _expect_refusal(packet: str | bytes) -> None:
    if not isinstance(packet, str) or not packet.startswith("44/random,"):
        raise Surprise(f"not a CONNECT_ERROR: {packet!r}")
    fields = json.loads(packet.removeprefix("44/random,"))
    if not isinstance(fields, dict) or not isinstance(fields.get("message"), str):
        raise Surprise(f"no object with a message: {fields!r}")


def wrong_handshake(peer: Peer) -> None:
    """A first packet of an unknown type closes the connection, at once or when the time for a CONNECT is over."""
    with peer.opened() as line:
        line.send("4abc")
        _answer_pings_until_end(line)


def no_handshake(peer: Peer) -> None:
    """A client that connects to no namespace in time is disconnected."""
    with peer.opened() as line:
        _answer_pings_until_end(line)


def _answer_pings_until_end(line: Line) -> None:
    end = time.monotonic() + CONNECT_WITHIN
    while (left := end - time.monotonic()) > 0:
        line._socket.settimeout(left)
        try:
            packet = line.take(pings=True)
        except Surprise as over:
            if "timed out" in str(over):
                break
            return
        if packet == "2":
            line.send("3")
    raise Surprise("the connection stays open")


def event_before_connect(peer: Peer) -> None:
    """An event for a namespace that the client is not connected to is not handled."""
    with peer.opened() as line:
        line.send("421" + peer.wants(), "40")
        packets = []
        try:
            packets = [line.take(), line.take()]
        except Surprise:
            return
        if any(str(packet).startswith(("431", '42["subscribed"')) for packet in packets):
            raise Surprise(f"it was handled: {packets}")


def connect_to_several(peer: Peer) -> None:
    """One connection may be connected to several namespaces, in each under a sid of its own."""
    with peer.opened() as line:
        line.send("40")
        first = line.take_connect()["sid"]
        if peer.sends_connected:
            line.take_event("connected")
        line.send("40/custom,")
        second = _read_custom(line)["sid"]
        expect(first != second, True, f"whether {first} and {second} differ")


def connect_by_name(peer: Peer) -> None:
    """The main namespace may be named when connecting."""
    for packet in ("40/", "40/,"):
        with peer.opened() as line:
            line.send(packet)
            expect(set(line.take_connect()), {"sid"}, f"fields after {packet}")


def connect_with_an_unknown_session(peer: Peer) -> None:
    """A CONNECT that asks to continue an unknown session opens a new one."""
    with peer.opened() as line:
        line.send('40{"pid":"foo","offset":"bar"}')
        fields = line.take_connect()
        expect((set(fields), fields["sid"] != "foo"), ({"sid"}, True), "fields, and whether the sid is new")


def connect_twice(peer: Peer) -> None:
    """A second CONNECT to the same namespace closes the connection."""
    with peer.connected() as line:
        line.send("40")
        line.expect_end()


def connect_twice_by_polling(peer: Peer) -> None:
    """A client that polls and connects twice receives CLOSE after the answer to the first."""
    sid = peer.session()
    expect(peer.post("40", sid).status_code, 200, "status of POST")
    peer.post("40", sid)
    received = peer.poll_until(sid, lambda packets: "1" in packets)
    expect(received[0][:3], "40{", "the first word")
    expect(len([packet for packet in received if packet.startswith("40")]), 1, "answers to CONNECT")


def refused_by_a_namespace(peer: Peer) -> None:
    """A namespace may refuse a client: CONNECT_ERROR has the reason, in an object with a message and data."""
    with peer.connected() as line:
        line.send("40/closed,")
        fields = line.take_packet("44/closed,", len("44/closed,"))
        expect(fields, {"message": "Authentication error", "data": {"a": "b", "c": 3}}, "why")
        line.send("421" + peer.wants())
        line.take_ack(1)


def event_while_not_connected(peer: Peer) -> None:
    """An event for a namespace that the client is not connected to closes the connection."""
    with peer.opened() as line:
        line.send('42["some event"]')
        line.expect_end()


def event_after_disconnect(peer: Peer) -> None:
    """An event after a DISCONNECT is not handled."""
    with peer.connected() as line:
        line.send("41", "421" + peer.wants(), "40")
        try:
            packet = line.take()
        except Surprise:
            return
        expect(str(packet)[:2], "40", f"the next word, which is {packet!r}; its beginning")


def sent_away(peer: Peer) -> None:
    """A client that the server disconnects receives DISCONNECT after its earlier messages."""
    with peer.connected() as line:
        line.send('42["leave-me"]')
        expect([line.take(), line.take()], ['42["last"]', "41"], "packets")


def disconnect(peer: Peer) -> None:
    """After DISCONNECT from the main namespace the server sends nothing but the next ping."""
    with peer.connected() as line:
        line.send("41")
        line._socket.settimeout(GRACE)
        expect(line.take(pings=True), "2", "the next word")


def disconnect_ends(peer: Peer) -> None:
    """(Ours) A connection that has left its only namespace is closed after a timeout."""
    with peer.connected() as line:
        line.send("41")
        _answer_pings_until_end(line)


def disconnect_from_another(peer: Peer) -> None:
    """(Ours) DISCONNECT from a namespace that the client is not in has no effect."""
    with peer.connected() as line:
        line.send("41/random,", "421" + peer.wants())
        line.take_ack(1)


def disconnect_from_one_of_two(peer: Peer) -> None:
    """DISCONNECT from one namespace does not affect the connection to another."""
    with peer.connected() as line:
        line.send("40/custom")
        _read_custom(line)
        line.take_packet("42/custom,", len("42/custom,"))
        line.send("41/custom", '42["message","message to main namespace"]')
        expect(line.take(), '42["message-back","message to main namespace"]', "answer")


def connect_elsewhere_while_leaving(peer: Peer) -> None:
    """A client may leave one namespace and connect to another at once."""
    with peer.connected() as line:
        line.send("41", "40/custom,")
        _read_custom(line)
        line.take_packet("42/custom,", len("42/custom,"))
        line.send('42/custom,["message","on"]')
        expect(line.take(), '42/custom,["message-back","on"]', "answer")


SOCKET_CASES: tuple[Callable[[Peer], None], ...] = (
    connect,
    connect_with_payload,
    connect_to_several,
    connect_by_name,
    connect_with_an_unknown_session,
    connect_twice,
    connect_twice_by_polling,
    sids_differ,
    connect_elsewhere,
    connect_elsewhere_with_payload,
    unknown_namespace,
    unknown_namespace_beside,
    refused_by_a_namespace,
    wrong_handshake,
    no_handshake,
    event_before_connect,
    event_while_not_connected,
    event_after_disconnect,
    sent_away,
    disconnect,
    disconnect_ends,
    disconnect_from_another,
    disconnect_from_one_of_two,
    connect_elsewhere_while_leaving,
    *EVENT_CASES,
    *PACKET_CASES,
)
