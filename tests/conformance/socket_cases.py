"""What the document of the Socket.IO protocol, v5, has servers do, case by case as its own test suite has them.

Where its suite has a server with a namespace `/custom` and events of its own, these ask for what both servers know.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from tests.conformance.line import Line, Peer, Surprise, expect

#: Longest that a server may keep a connection which never connects to a namespace (45 s in the reference server).
CONNECT_WITHIN = 90.0


def connect(peer: Peer) -> None:
    """CONNECT to the main namespace is answered with a CONNECT that holds a sid, and nothing else."""
    with peer.opened() as line:
        line.send("40")
        told = line.take_connect()
        expect(set(told), {"sid"}, "fields")


def connect_with_payload(peer: Peer) -> None:
    """CONNECT may bring a payload."""
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


def unknown_namespace(peer: Peer) -> None:
    """CONNECT to a namespace that is not there is answered with CONNECT_ERROR and an object with a message."""
    with peer.opened() as line:
        line.send("40/random")
        _expect_refusal(line.take())


def unknown_namespace_beside(peer: Peer) -> None:
    """Being refused at one namespace does not hurt the connection to another."""
    with peer.connected() as line:
        line.send("40/random,")
        _expect_refusal(line.take())
        line.send("421" + peer.wants())
        line.take_ack(1)


def _expect_refusal(packet: str | bytes) -> None:
    if not isinstance(packet, str) or not packet.startswith("44/random,"):
        raise Surprise(f"not a CONNECT_ERROR: {packet!r}")
    told = json.loads(packet.removeprefix("44/random,"))
    if not isinstance(told, dict) or not isinstance(told.get("message"), str):
        raise Surprise(f"no object with a message: {told!r}")


def wrong_handshake(peer: Peer) -> None:
    """A first packet of an unknown type closes the connection, at once or when the time for a CONNECT is over."""
    with peer.opened() as line:
        line.send("4abc")
        _answer_pings_until_end(line)


def no_handshake(peer: Peer) -> None:
    """A client that connects to no namespace in time is cut off."""
    with peer.opened() as line:
        _answer_pings_until_end(line)


def _answer_pings_until_end(line: Line) -> None:
    line._socket.settimeout(CONNECT_WITHIN)
    for _ in range(4):
        try:
            packet = line.take(pings=True)
        except Surprise as end:
            if "timed out" in str(end):
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


def disconnect(peer: Peer) -> None:
    """DISCONNECT from the main namespace ends the connection, for it has no other: at once or after a while."""
    with peer.connected() as line:
        line.send("41")
        _answer_pings_until_end(line)


def disconnect_from_another(peer: Peer) -> None:
    """DISCONNECT from another namespace leaves the main one alone."""
    with peer.connected() as line:
        line.send("41/random,", "421" + peer.wants())
        line.take_ack(1)


def event(peer: Peer) -> None:
    """An event is handled, and events come back."""
    with peer.connected() as line:
        line.send("42" + peer.wants())
        (told,) = line.take_event("subscribed")
        expect(told["instance_id"], peer.instance_id, "payload")


def event_with_ack(peer: Peer) -> None:
    """An event with a number is acknowledged with that number."""
    with peer.connected() as line:
        line.send("42456" + peer.wants())
        (answer,) = line.take_ack(456)
        expect(answer["ok"], True, "answer")


def ack_zero(peer: Peer) -> None:
    """Zero is a number like any other."""
    with peer.connected() as line:
        line.send("420" + peer.wants())
        line.take_ack(0)


def event_in_main_by_name(peer: Peer) -> None:
    """The main namespace may be named."""
    with peer.connected() as line:
        line.send("42/,7" + peer.wants())
        line.take_ack(7)


def binary_event_with_ack(peer: Peer) -> None:
    """An event with attachments is heard once they are there, and acknowledged with its number."""
    with peer.connected() as line:
        line.send(_binary("echo", 789), b"\x01\x02\x03", b"\x04\x05\x06")
        while not str(line.take()).startswith(("43789[", "462-789[")):
            continue


def binary_ack(peer: Peer) -> None:
    """What was sent with attachments comes back with the same attachments."""
    with peer.connected() as line:
        line.send(_binary("echo", 789), b"\x01\x02\x03", b"\x04\x05\x06")
        told = line.take_packet("462-789", 7)
        expect(told, [{"_placeholder": True, "num": 0}, {"_placeholder": True, "num": 1}], "placeholders")
        expect([line.take(), line.take()], [b"\x01\x02\x03", b"\x04\x05\x06"], "attachments")


def text_after_binary(peer: Peer) -> None:
    """An event with attachments leaves the connection as it was."""
    with peer.connected() as line:
        line.send(_binary("echo", 1), b"\x01", b"\x02", "422" + peer.wants())
        line.take_ack(2)


def _binary(name: str, number: int) -> str:
    return f'452-{number}["{name}",{{"_placeholder":true,"num":0}},{{"_placeholder":true,"num":1}}]'


def unknown_type(peer: Peer) -> None:
    """A packet of an unknown type closes the connection."""
    _expect_end_after(peer, "4abc")


def wrong_payload(peer: Peer) -> None:
    """An event whose payload is not a list closes the connection."""
    _expect_end_after(peer, "42{}")


def wrong_ack_number(peer: Peer) -> None:
    """An event whose number is none closes the connection."""
    _expect_end_after(peer, '42abc["message-with-ack",1,"2",{"3":[false]}]')


def wrong_json(peer: Peer) -> None:
    """An event whose payload is not JSON closes the connection."""
    _expect_end_after(peer, '42["a"')


def reserved_event(peer: Peer) -> None:
    """An event with a reserved name closes the connection."""
    _expect_end_after(peer, '42["connect"]')


def _expect_end_after(peer: Peer, packet: str) -> None:
    with peer.connected() as line:
        line.send(packet)
        line.expect_end(10)


def answers_what_it_cannot_read(peer: Peer) -> None:
    """(Ours) What cannot be read is answered or ends the connection; the sender is never left without either."""
    for packet in ("4abc", "42{}", '42abc["x",1]', '42["a"', '42["connect"]', "42", "4", "49[]", '451-["x"]', "453-[]"):
        with peer.connected() as line:
            line.send(packet, b"\x01") if packet.startswith("451") else line.send(packet)
            line._socket.settimeout(5)
            try:
                answer = line.take()
            except Surprise as end:
                if "timed out" in str(end):
                    raise Surprise(f"{packet!r} is met with silence") from end
                continue
            if not str(answer).startswith('42["error"'):
                raise Surprise(f"{packet!r} is answered {answer!r}")


def empty_acknowledgement_takes_nothing(peer: Peer) -> None:
    """(Ours) A binary acknowledgement without its attachments does not take the next event for one of them."""
    with peer.connected() as line:
        line.send("46", "427" + peer.wants())
        line.take_ack(7)


SOCKET_CASES: tuple[Callable[[Peer], None], ...] = (
    connect,
    connect_with_payload,
    sids_differ,
    unknown_namespace,
    unknown_namespace_beside,
    wrong_handshake,
    no_handshake,
    event_before_connect,
    disconnect,
    disconnect_from_another,
    event,
    event_with_ack,
    ack_zero,
    event_in_main_by_name,
    binary_event_with_ack,
    binary_ack,
    text_after_binary,
    unknown_type,
    wrong_payload,
    wrong_ack_number,
    wrong_json,
    reserved_event,
    answers_what_it_cannot_read,
    empty_acknowledgement_takes_nothing,
)
