"""Cases of messages by long polling, from the Engine.IO document and test suites; see `engine_cases`."""

from __future__ import annotations

import json
from collections.abc import Callable

from tests.conformance.line import SEPARATOR, Peer, Surprise, expect, read_open
from tests.conformance.raw import start_poll


def polling_one_packet(peer: Peer) -> None:
    """A posted packet is received, and the reply is polled."""
    sid = peer.session()
    pushed = peer.post("40", sid)
    expect((pushed.status_code, pushed.text), (200, "ok"), "answer to POST")
    received = peer.poll_until(sid, bool)
    if not received[0].startswith("40{"):
        raise Surprise(f"polled {received!r}")


def polling_several_packets(peer: Peer) -> None:
    """Packets in one payload are separated by a record separator, in both directions."""
    sid = peer.joined()
    wants = ['42["message","one"]', '42["message","two"]', '42["message","three"]']
    expect(peer.post(SEPARATOR.join(wants), sid).status_code, 200, "status of POST")
    received = peer.poll_until(sid, lambda packets: len(packets) >= len(wants))
    expect(received, [packet.replace("message", "message-back") for packet in wants], "packets")


def polling_binary(peer: Peer) -> None:
    """Binary data is sent as base64 after a b, in both directions, and its packets form one event."""
    sid = peer.joined()
    event = '451-["message",{"_placeholder":true,"num":0}]'
    expect(peer.post(SEPARATOR.join([event, "bAQIDBA=="]), sid).status_code, 200, "status of POST")
    received = peer.poll_until(sid, lambda packets: "bAQIDBA==" in packets)
    expect(received[-2:], [event.replace("message", "message-back"), "bAQIDBA=="], "packets")


def polling_unicode(peer: Peer) -> None:
    """Text of any script is received and sent back unchanged, by polling and by websocket."""
    fields = ["石室詩士施氏，嗜獅", "utf8 — string", "🌍"]
    event = "42" + json.dumps(["message", *fields], ensure_ascii=False)
    sid = peer.joined()
    expect(peer.post(event, sid).status_code, 200, "status of POST")
    expect(json.loads(peer.poll_until(sid, bool)[0][2:]), ["message-back", *fields], "packet")
    with peer.connected() as line:
        line.send(event)
        expect(line.take_event("message-back"), fields, "answer")


def polling_many_packets(peer: Peer) -> None:
    """A payload may have any number of packets: each of a hundred events is acknowledged, in order."""
    sid = peer.joined()
    numbers = range(100, 200)
    body = SEPARATOR.join(f'42{number}["message-with-ack",{number}]' for number in numbers)
    expect(peer.post(body, sid).status_code, 200, "status of POST")
    received = peer.poll_until(sid, lambda packets: f"43{numbers[-1]}[{numbers[-1]}]" in packets)
    expect([p for p in received if p.startswith("43")], [f"43{number}[{number}]" for number in numbers], "packets")


def polling_many_answers(peer: Peer) -> None:
    """Messages sent together are polled completely and in order, however many they are."""
    sid = peer.joined()
    expect(peer.post('42["burst",200]', sid).status_code, 200, "status of POST")
    received = peer.poll_until(sid, lambda packets: '42["note",199]' in packets)
    expect([p for p in received if "note" in p], [f'42["note",{number}]' for number in range(200)], "packets")


def polling_large(peer: Peer) -> None:
    """A large payload is received whole, also in chunks without a length."""
    sid = peer.joined()
    large = "a" * 200_000
    expect(peer.post(f'42["message","{large}"]', sid).status_code, 200, "status of POST")
    expect(peer.poll_until(sid, bool), [f'42["message-back","{large}"]'], "packets")
    chunks = (part.encode() for part in ('42["mess', 'age","in', ' chunks"]'))
    expect(peer.post(chunks, sid).status_code, 200, "status of POST in chunks")
    expect(peer.poll_until(sid, bool), ['42["message-back","in chunks"]'], "packets")


def polling_too_large(peer: Peer) -> None:
    """A payload above the handshake's maxPayload is refused."""
    fields = read_open(peer.get().text)
    answer = peer.post("4" + "a" * (fields["maxPayload"] + 1), fields["sid"])
    expect(answer.status_code, 413, "status of POST")


def polling_noop(peer: Peer) -> None:
    """A NOOP of the client has no effect."""
    sid = peer.joined()
    expect(peer.post(SEPARATOR.join(["6", "427" + peer.wants()]), sid).status_code, 200, "status of POST")
    peer.poll_until(sid, lambda packets: any(p.startswith("437") for p in packets))


def polling_by_another_transport(peer: Peer) -> None:
    """A polling session refuses a request that names a websocket without an upgrade, and continues."""
    sid = peer.joined()
    expect(peer.get(sid, transport="websocket").status_code, 400, "status of GET")
    expect(peer.get(transport="websocket").status_code, 400, "status of a GET without a session")
    expect(peer.post('42["message","on"]', sid).status_code, 200, "status of POST")
    expect(peer.poll_until(sid, bool), ['42["message-back","on"]'], "packets")


def polling_one_connection_each(peer: Peer) -> None:
    """A client may close its connection after every request."""
    close = {"Connection": "close"}
    sid = peer.joined()
    expect(peer.post('42["message","one"]', sid, close).status_code, 200, "status of POST")
    expect(peer.get(sid, close).text, '42["message-back","one"]', "polled")
    expect(peer.post('42["message","two"]', sid, close).status_code, 200, "status of another POST")
    expect(peer.get(sid, close).text, '42["message-back","two"]', "polled after it")


def polling_wrong_packet(peer: Peer) -> None:
    """An invalid payload closes the session."""
    for payload in ("abc", "a123", "{", "{}", '["a123", "a456"]', ""):
        sid = peer.session()
        peer.post(payload, sid)
        expect(peer.get(sid).status_code, 400, f"status of GET after {payload!r}")


def polling_wrong_message(peer: Peer) -> None:
    """A message that is not a Socket.IO packet closes the session: the client receives CLOSE after its messages."""
    sid = peer.joined()
    expect(peer.post('42["message","before"]', sid).status_code, 200, "status of POST")
    peer.post("4abc", sid)
    received = peer.poll_until(sid, lambda packets: "1" in packets)
    expect(received[0], '42["message-back","before"]', "the first word")
    expect(peer.get(sid).status_code, 400, "status of GET afterwards")


def polling_twice_at_once(peer: Peer) -> None:
    """Two polls at once: the second is refused, the first receives CLOSE, and the session ends."""
    sid = peer.joined()
    with start_poll(peer, sid) as first:
        second = peer.get(sid).status_code
        expect(first.answer(), (200, "1"), "the first poll")
    expect(second in (400, 500), True, f"refusal of the second poll, which got {second}")
    expect(peer.get(sid).status_code, 400, "status of GET afterwards")


def polling_cancelled(peer: Peer) -> None:
    """A poll that its client cancels closes the session."""
    sid = peer.joined()
    start_poll(peer, sid).close()
    peer.settle()
    # Were it alive, the next ping would be the answer.
    expect(peer.get(sid).status_code, 400, "status of GET afterwards")


def polling_close(peer: Peer) -> None:
    """A CLOSE that is posted ends the poll with a NOOP, and the session."""
    sid = peer.joined()
    with start_poll(peer, sid) as poll:
        expect(peer.post("1", sid).status_code, 200, "status of the POST")
        expect(poll.answer(), (200, "6"), "the poll")
    expect(peer.get(sid).status_code, 400, "status of GET afterwards")


POLLING_CASES: tuple[Callable[[Peer], None], ...] = (
    polling_one_packet,
    polling_several_packets,
    polling_binary,
    polling_unicode,
    polling_many_packets,
    polling_many_answers,
    polling_large,
    polling_too_large,
    polling_noop,
    polling_by_another_transport,
    polling_one_connection_each,
    polling_wrong_packet,
    polling_wrong_message,
    polling_twice_at_once,
    polling_cancelled,
    polling_close,
)
