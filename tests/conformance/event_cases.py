"""Cases of events, acknowledgements and rooms in both directions, with binary data; see `socket_cases`."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tests.conformance.line import Line, Peer, expect


def event(peer: Peer) -> None:
    """An event is handled, and events are returned, with every argument."""
    with peer.connected() as line:
        line.send('42["message",1,"2",{"3":[true]}]')
        expect(line.take(), '42["message-back",1,"2",{"3":[true]}]', "answer")


def event_with_attachments(peer: Peer) -> None:
    """An event with attachments is received once they are complete, and one with attachments is sent back."""
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
    """Zero is a valid number of an acknowledgement."""
    with peer.connected() as line:
        line.send("420" + peer.wants())
        line.take_ack(0)


def event_in_main_by_name(peer: Peer) -> None:
    """The main namespace may be named."""
    with peer.connected() as line:
        line.send("42/,7" + peer.wants())
        line.take_ack(7)


def binary_ack(peer: Peer) -> None:
    """An acknowledgement may have attachments: what was sent is returned with its number."""
    with peer.connected() as line:
        line.send(_binary("message-with-ack", "789"), b"\x01\x02\x03", b"\x04\x05\x06")
        fields = line.take_packet("462-789", 7)
        expect(fields, [{"_placeholder": True, "num": 0}, {"_placeholder": True, "num": 1}], "placeholders")
        expect([line.take(), line.take()], [b"\x01\x02\x03", b"\x04\x05\x06"], "attachments")


def text_after_binary(peer: Peer) -> None:
    """After an event with attachments, the next text event is received."""
    with peer.connected() as line:
        line.send(_binary("no-handler-for-this", "1"), b"\x01", b"\x02", "422" + peer.wants())
        line.take_ack(2)


def binary_among_others(peer: Peer) -> None:
    """Attachments may be anywhere among the arguments, also inside of them."""
    holes = [f'{{"_placeholder":true,"num":{number}}}' for number in range(4)]
    fields = f'1,{holes[0]},"3",[4],{holes[1]},[{holes[2]},"swag",{{"b":["c",{holes[3]}]}}]]'
    attachments: list[str | bytes] = [b"\x00", b"asdf", b"\xff" * 5, b"end"]
    with peer.connected() as line:
        line.send('454-["message",' + fields, *attachments)
        expect(line.take(), '454-["message-back",' + fields, "event")
        expect([line.take() for _ in attachments], attachments, "attachments")


def many_attachments(peer: Peer) -> None:
    """An event may have ten attachments."""
    holes = ",".join(f'{{"_placeholder":true,"num":{number}}}' for number in range(10))
    with peer.connected() as line:
        line.send(f'4510-["message",{holes}]', *(bytes([number]) for number in range(10)))
        expect(line.take(), f'4510-["message-back",{holes}]', "event")
        expect([line.take() for _ in range(10)], [bytes([number]) for number in range(10)], "attachments")


def event_elsewhere(peer: Peer) -> None:
    """Events, acknowledgements and attachments work in both directions in another namespace."""
    hole = '{"_placeholder":true,"num":0}'
    with peer.connected() as line:
        line.send("40/custom,")
        line.take_packet("42/custom,", len("42/custom,"))
        line.send('42/custom,["message","a",{"b":"/c,1"}]')
        expect(line.take(), '42/custom,["message-back","a",{"b":"/c,1"}]', "answer")
        line.send('42/custom,17["message-with-ack","a"]')
        expect(line.take(), '43/custom,17["a"]', "acknowledgement")
        line.send(f'451-/custom,["message",{{"b":["c",{hole}]}}]', b"abc")
        expect(line.take(), f'451-/custom,["message-back",{{"b":["c",{hole}]}}]', "event")
        expect(line.take(), b"abc", "its attachment")
        line.send(f'451-/custom,23["message-with-ack",{hole},{{}}]', b"xxx")
        expect(line.take(), f"461-/custom,23[{hole},{{}}]", "acknowledgement")
        expect(line.take(), b"xxx", "its attachment")


def null_argument(peer: Peer) -> None:
    """An argument may be null."""
    with peer.connected() as line:
        line.send('42["message",null]')
        expect(line.take(), '42["message-back",null]', "answer")


def name_that_is_a_number(peer: Peer) -> None:
    """The name of an event may be a number; one without a handler has no effect."""
    with peer.connected() as line:
        line.send('42[1,"a",{}]', "421" + peer.wants())
        line.take_ack(1)


def large_json(peer: Peer) -> None:
    """A large event is returned unchanged."""
    _expect_back(peer, '["message",{"hello":"friend","json":[' + ",".join(['{"a":[1,"b",null]}'] * 10_000) + "]}]")


def _expect_back(peer: Peer, event: str) -> None:
    with peer.connected() as line:
        line.send("42" + event)
        expect(line.take() == "42" + event.replace("message", "message-back", 1), True, "whether it is the same")


def large_binary(peer: Peer) -> None:
    """A large attachment is returned unchanged."""
    large = bytes(range(256)) * 2000
    with peer.connected() as line:
        line.send('451-["message",{"_placeholder":true,"num":0}]', large)
        line.take_packet('451-["message-back"', 4)
        expect(line.take() == large, True, "whether it is the same")


def asked(peer: Peer) -> None:
    """The server may request an acknowledgement: it receives the client's reply with that number."""
    with peer.connected() as line:
        line.send('42["ask",1,"2"]')
        number, fields = _read_question(line)
        expect(fields, ["question", 1, "2"], "question")
        line.send(f'43{number}[3,{{"4":null}}]')
        expect(line.take(), '42["answered",3,{"4":null}]', "what the server received")


def asked_in_binary(peer: Peer) -> None:
    """Such a request of the server, and the reply, may have attachments."""
    hole = '{"_placeholder":true,"num":0}'
    with peer.connected() as line:
        line.send(f'451-["ask",{hole}]', b"\x01\x02")
        number, fields = _read_question(line, "451-")
        expect(fields, ["question", {"_placeholder": True, "num": 0}], "question")
        expect(line.take(), b"\x01\x02", "its attachment")
        line.send(f"461-{number}[{hole}]", b"\x03\x04")
        expect(line.take(), f'451-["answered",{hole}]', "what the server received")
        expect(line.take(), b"\x03\x04", "its attachment")


def _read_question(line: Line, beginning: str = "42") -> tuple[str, Any]:
    packet = str(line.take())
    number = packet.removeprefix(beginning).partition("[")[0]
    expect(number.isdigit(), True, f"whether {packet!r} asks for an acknowledgement")
    return number, json.loads(packet.removeprefix(beginning + number))


def ack_of_nothing(peer: Peer) -> None:
    """An acknowledgement without a request has no effect."""
    with peer.connected() as line:
        line.send("4399[1]", "421" + peer.wants())
        line.take_ack(1)


def room(peer: Peer) -> None:
    """A message to several rooms reaches each client in any of them once, and no other client."""
    with peer.connected() as inside, peer.connected() as outside:
        for number, name in enumerate(("woot", "test")):
            inside.send(f'42{number}["enter","{name}-{id(inside)}"]')
            inside.take_ack(number)
        rooms = f'["woot-{id(inside)}","test-{id(inside)}"]'
        outside.send(f'42["send",{rooms},"a"]', f'42["send",{rooms},"b"]', '42["message","end"]')
        expect([inside.take(), inside.take()], ['42["sent","a"]', '42["sent","b"]'], "what comes inside")
        expect(outside.take(), '42["message-back","end"]', "what comes outside")


def room_in_binary(peer: Peer) -> None:
    """A message to a room may have attachments."""
    hole = '{"_placeholder":true,"num":0}'
    with peer.connected() as inside, peer.connected() as outside:
        inside.send(f'421["enter","bin-{id(inside)}"]')
        inside.take_ack(1)
        outside.send(f'451-["send",["bin-{id(inside)}"],{hole}]', b"\x05" * 5)
        expect([inside.take(), inside.take()], [f'451-["sent",{hole}]', b"\x05" * 5], "what comes inside")


def _binary(name: str, number: str = "") -> str:
    return f'452-{number}["{name}",{{"_placeholder":true,"num":0}},{{"_placeholder":true,"num":1}}]'


EVENT_CASES: tuple[Callable[[Peer], None], ...] = (
    event,
    event_with_attachments,
    binary_among_others,
    many_attachments,
    event_with_ack,
    ack_zero,
    event_in_main_by_name,
    event_elsewhere,
    null_argument,
    name_that_is_a_number,
    large_json,
    large_binary,
    binary_ack,
    text_after_binary,
    asked,
    asked_in_binary,
    ack_of_nothing,
    room,
    room_in_binary,
)
