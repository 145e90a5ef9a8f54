"""Messages by long polling, as the document of the Engine.IO protocol and the suites have them; see `engine_cases`."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable

import httpx

from tests.conformance.line import SEPARATOR, Peer, Surprise, expect, read_open


class Aside:
    """A poll in a thread of its own."""

    def __init__(self, peer: Peer, sid: str) -> None:
        self._answer: tuple[int, str] = (0, "nothing")
        self._thread = threading.Thread(target=self._run, args=(peer, sid))
        self._thread.start()

    def answer(self) -> tuple[int, str]:
        """Status and text, in the end; 0 when nothing came."""
        self._thread.join()
        return self._answer

    def _run(self, peer: Peer, sid: str) -> None:
        with contextlib.suppress(httpx.HTTPError):
            answer = peer.get(sid)
            self._answer = (answer.status_code, answer.text)


def polling_one_packet(peer: Peer) -> None:
    """A packet that is posted is heard, and what it causes is polled."""
    sid = peer.session()
    pushed = peer.post("40", sid)
    expect((pushed.status_code, pushed.text), (200, "ok"), "answer to POST")
    polled = peer.get(sid)
    expect(polled.status_code, 200, "status of GET")
    if not polled.text.startswith("40{"):
        raise Surprise(f"polled {polled.text!r}")


def polling_several_packets(peer: Peer) -> None:
    """Packets in one payload are parted by a record separator, both ways."""
    sid = peer.joined()
    wants = ['42["message","one"]', '42["message","two"]', '42["message","three"]']
    expect(peer.post(SEPARATOR.join(wants), sid).status_code, 200, "status of POST")
    heard = _poll_until(peer, sid, lambda packets: len(packets) >= len(wants))
    expect(heard, [packet.replace("message", "message-back") for packet in wants], "packets")


def polling_binary(peer: Peer) -> None:
    """Binary travels as base64 behind a b, both ways; what belongs together is heard as one event."""
    sid = peer.joined()
    event = '451-["message",{"_placeholder":true,"num":0}]'
    expect(peer.post(SEPARATOR.join([event, "bAQIDBA=="]), sid).status_code, 200, "status of POST")
    heard = _poll_until(peer, sid, lambda packets: "bAQIDBA==" in packets)
    expect(heard[-2:], [event.replace("message", "message-back"), "bAQIDBA=="], "packets")


def polling_many_packets(peer: Peer) -> None:
    """A payload may have any number of packets: each of a hundred events is acknowledged, in order."""
    sid = peer.joined()
    numbers = range(100, 200)
    body = SEPARATOR.join(f'42{number}["message-with-ack",{number}]' for number in numbers)
    expect(peer.post(body, sid).status_code, 200, "status of POST")
    heard = _poll_until(peer, sid, lambda packets: f"43{numbers[-1]}[{numbers[-1]}]" in packets)
    expect([p for p in heard if p.startswith("43")], [f"43{number}[{number}]" for number in numbers], "packets")


def polling_many_answers(peer: Peer) -> None:
    """What a client is sent in one go is polled whole and in order, however much it is."""
    sid = peer.joined()
    expect(peer.post('42["burst",200]', sid).status_code, 200, "status of POST")
    heard = _poll_until(peer, sid, lambda packets: '42["note",199]' in packets)
    expect([p for p in heard if "note" in p], [f'42["note",{number}]' for number in range(200)], "packets")


def polling_too_large(peer: Peer) -> None:
    """A payload above the handshake's maxPayload is refused."""
    told = read_open(peer.get().text)
    answer = peer.post("4" + "a" * (told["maxPayload"] + 1), told["sid"])
    expect(answer.status_code, 413, "status of POST")


def polling_noop(peer: Peer) -> None:
    """A NOOP of the client means nothing, and hurts nothing."""
    sid = peer.joined()
    expect(peer.post(SEPARATOR.join(["6", "427" + peer.wants()]), sid).status_code, 200, "status of POST")
    _poll_until(peer, sid, lambda packets: any(p.startswith("437") for p in packets))


def polling_by_another_transport(peer: Peer) -> None:
    """A session that polls is not served by a request that names a websocket and asks for none."""
    sid = peer.session()
    expect(peer.get(sid, transport="websocket").status_code, 400, "status of GET")
    expect(peer.get(transport="websocket").status_code, 400, "status of a GET without a session")


def _poll_until(peer: Peer, sid: str, found: Callable[[list[str]], bool]) -> list[str]:
    heard: list[str] = []
    for _ in range(40):
        heard += peer.poll(sid)
        if found(heard):
            return heard
    raise Surprise(f"polled {heard}")


def polling_wrong_packet(peer: Peer) -> None:
    """A payload that is none closes the session."""
    sid = peer.session()
    peer.post("abc", sid)
    expect(peer.get(sid).status_code, 400, "status of GET afterwards")


def polling_twice_at_once(peer: Peer) -> None:
    """Two polls at once: the second is refused, the first is told CLOSE, and the session is over."""
    sid = peer.joined()
    first = Aside(peer, sid)
    time.sleep(0.5)  # the document's own case waits as well; nothing tells that a poll has begun
    try:
        second = peer.get(sid, timeout=5).status_code
    except httpx.TimeoutException:
        second = 0
    expect(first.answer(), (200, "1"), "the first poll")
    expect(second in (400, 500), True, f"refusal of the second poll, which got {second}")
    expect(peer.get(sid).status_code, 400, "status of GET afterwards")


def polling_cancelled(peer: Peer) -> None:
    """A poll that its client gives up closes the session."""
    sid = peer.joined()
    with contextlib.suppress(httpx.TimeoutException):
        peer.get(sid, timeout=0.5)
    try:
        expect(peer.get(sid, timeout=5).status_code, 400, "status of GET afterwards")
    except httpx.TimeoutException:
        raise Surprise("the session lives on") from None


def polling_close(peer: Peer) -> None:
    """A CLOSE that is posted ends the poll with a NOOP, and the session."""
    sid = peer.joined()
    poll = Aside(peer, sid)
    time.sleep(0.5)  # as above
    expect(peer.post("1", sid).status_code, 200, "status of the POST")
    expect(poll.answer(), (200, "6"), "the poll")
    expect(peer.get(sid).status_code, 400, "status of GET afterwards")
