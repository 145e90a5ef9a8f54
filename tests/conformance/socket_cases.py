"""What the document of the Socket.IO protocol, v5, has servers do, case by case as its own test suite has them.

Its suite's server has a namespace `/custom` and events of its own, which `echo` gives to each server.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from tests.conformance.engine_cases import GRACE
from tests.conformance.line import Line, Peer, Surprise, expect

#: Longest that a server may keep a connection which never connects to a namespace (45 s in the reference server).
CONNECT_WITHIN = 60.0


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


def connect_elsewhere(peer: Peer) -> None:
    """CONNECT to another namespace is answered by its name, and brings what that namespace sends."""
    with peer.opened() as line:
        line.send("40/custom,")
        expect(set(_read_custom(line)), {"sid"}, "fields")
        expect(line.take(), '42/custom,["auth",{}]', "what it sends")


def connect_elsewhere_with_payload(peer: Peer) -> None:
    """CONNECT to another namespace may bring a payload."""
    with peer.opened() as line:
        line.send('40/custom,{"token":"abc"}')
        expect(set(_read_custom(line)), {"sid"}, "fields")
        expect(line.take(), '42/custom,["auth",{"token":"abc"}]', "what it sends")


def _read_custom(line: Line) -> dict[str, Any]:
    packet = line.take()
    if not isinstance(packet, str) or not packet.startswith("40/custom,"):
        raise Surprise(f"not a CONNECT: {packet!r}")
    told: dict[str, Any] = json.loads(packet.removeprefix("40/custom,"))
    return told


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


def disconnect(peer: Peer) -> None:
    """DISCONNECT from the main namespace is met with nothing but the next ping."""
    with peer.connected() as line:
        line.send("41")
        line._socket.settimeout(GRACE)
        expect(line.take(pings=True), "2", "the next word")


def disconnect_ends(peer: Peer) -> None:
    """(Ours) A connection that has left its only namespace ends after a while."""
    with peer.connected() as line:
        line.send("41")
        _answer_pings_until_end(line)


def disconnect_from_another(peer: Peer) -> None:
    """(Ours) DISCONNECT from a namespace that a client is not in hurts nothing."""
    with peer.connected() as line:
        line.send("41/random,", "421" + peer.wants())
        line.take_ack(1)


def disconnect_from_one_of_two(peer: Peer) -> None:
    """DISCONNECT from one namespace leaves the connection to another alone."""
    with peer.connected() as line:
        line.send("40/custom")
        _read_custom(line)
        line.take_packet("42/custom,", len("42/custom,"))
        line.send("41/custom", '42["message","message to main namespace"]')
        expect(line.take(), '42["message-back","message to main namespace"]', "answer")


def event(peer: Peer) -> None:
    """An event is handled, and events come back, with every argument."""
    with peer.connected() as line:
        line.send('42["message",1,"2",{"3":[true]}]')
        expect(line.take(), '42["message-back",1,"2",{"3":[true]}]', "answer")


def event_with_attachments(peer: Peer) -> None:
    """An event with attachments is heard once they are there, and one with attachments comes back."""
    with peer.connected() as line:
        line.send(_binary("message"), b"\x01\x02\x03", b"\x04\x05\x06")
        expect(line.take(), _binary("message-back"), "event")
        expect([line.take(), line.take()], [b"\x01\x02\x03", b"\x04\x05\x06"], "attachments")


def event_with_ack(peer: Peer) -> None:
    """An event with a number is acknowledged with that number."""
    with peer.connected() as line:
        line.send('42456["message-with-ack",1,"2",{"3":[false]}]')
        expect(line.take(), '43456[1,"2",{"3":[false]}]', "acknowledgement")


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


def binary_ack(peer: Peer) -> None:
    """An acknowledgement may have attachments: what was sent comes back with its number."""
    with peer.connected() as line:
        line.send(_binary("message-with-ack", "789"), b"\x01\x02\x03", b"\x04\x05\x06")
        told = line.take_packet("462-789", 7)
        expect(told, [{"_placeholder": True, "num": 0}, {"_placeholder": True, "num": 1}], "placeholders")
        expect([line.take(), line.take()], [b"\x01\x02\x03", b"\x04\x05\x06"], "attachments")


def text_after_binary(peer: Peer) -> None:
    """An event with attachments leaves the connection as it was."""
    with peer.connected() as line:
        line.send(_binary("nobody-hears-this", "1"), b"\x01", b"\x02", "422" + peer.wants())
        line.take_ack(2)


def _binary(name: str, number: str = "") -> str:
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


def wrong_attachments(peer: Peer) -> None:
    """An event whose attachments are not those it announced closes the connection."""
    _expect_end_after(peer, '451-["message",{"_placeholder":true,"num":5}]', b"\x01")


def attachment_of_nothing(peer: Peer) -> None:
    """Binary data that no event announced closes the connection."""
    _expect_end_after(peer, b"\x01\x02")


def text_for_an_attachment(peer: Peer) -> None:
    """Text where an attachment was announced closes the connection."""
    _expect_end_after(peer, '451-["message",{"_placeholder":true,"num":0}]', '42["message"]')


def _expect_end_after(peer: Peer, *packets: str | bytes) -> None:
    with peer.connected() as line:
        line.send(*packets)
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
    connect_elsewhere,
    connect_elsewhere_with_payload,
    unknown_namespace,
    unknown_namespace_beside,
    wrong_handshake,
    no_handshake,
    event_before_connect,
    disconnect,
    disconnect_ends,
    disconnect_from_another,
    disconnect_from_one_of_two,
    event,
    event_with_attachments,
    event_with_ack,
    ack_zero,
    event_in_main_by_name,
    binary_ack,
    text_after_binary,
    unknown_type,
    wrong_payload,
    wrong_ack_number,
    wrong_json,
    reserved_event,
    wrong_attachments,
    attachment_of_nothing,
    text_for_an_attachment,
    answers_what_it_cannot_read,
    empty_acknowledgement_takes_nothing,
)
