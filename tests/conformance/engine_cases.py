"""What the document of the Engine.IO protocol, v4, has servers do, case by case as its own test suite has them.

Its suite speaks to a server that echoes; here a server is asked to connect a namespace, which it answers as well.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable

import httpx

from tests.conformance.line import SEPARATOR, Peer, Surprise, expect, read_open

HANDSHAKE = {"sid", "upgrades", "pingInterval", "pingTimeout", "maxPayload"}
#: Seconds after which a silent client must be gone: both intervals of the handshake, and some for a busy machine.
GRACE = 40.0


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


def polling_one_packet(peer: Peer) -> None:
    """A packet that is posted is heard, and what it causes is polled."""
    sid = peer.session()
    pushed = peer.post("40", sid)
    expect((pushed.status_code, pushed.text.lower()), (200, "ok"), "answer to POST")
    polled = peer.get(sid)
    expect(polled.status_code, 200, "status of GET")
    if not polled.text.startswith("40{"):
        raise Surprise(f"polled {polled.text!r}")


def polling_several_packets(peer: Peer) -> None:
    """Packets in one payload are parted by a record separator, both ways."""
    sid = peer.session()
    wants = peer.wants()
    expect(peer.post(SEPARATOR.join(["40", "427" + wants, "428" + wants]), sid).status_code, 200, "status of POST")
    heard = _poll_until(peer, sid, lambda packets: any(p.startswith("438") for p in packets))
    kinds = [next((b for b in ("40{", "437", "438") if p.startswith(b)), "") for p in heard]
    expect([kind for kind in kinds if kind], ["40{", "437", "438"], "packets")


def polling_binary(peer: Peer) -> None:
    """Binary travels as base64 behind a b; what belongs together is heard as one event."""
    sid = peer.session()
    event = '451-7["echo",{"_placeholder":true,"num":0}]'
    expect(peer.post(SEPARATOR.join(["40", event, "bAQIDBA=="]), sid).status_code, 200, "status of POST")
    _poll_until(peer, sid, lambda packets: any(p.startswith(("437", "461-7")) for p in packets))


def _poll_until(peer: Peer, sid: str, found: Callable[[list[str]], bool]) -> list[str]:
    heard: list[str] = []
    for _ in range(10):
        answer = peer.get(sid)
        expect(answer.status_code, 200, "status of GET")
        heard += answer.text.split(SEPARATOR)
        if found(heard):
            return heard
    raise Surprise(f"polled {heard}")


def polling_wrong_packet(peer: Peer) -> None:
    """A payload that is none is refused and closes the session."""
    sid = peer.session()
    expect(peer.post("abc", sid).status_code, 400, "status of POST")
    expect(peer.get(sid).status_code, 400, "status of GET afterwards")


def polling_twice_at_once(peer: Peer) -> None:
    """Two polls at once: the second is refused, and the session is closed."""
    sid = peer.joined()
    first = Aside(peer, sid)
    time.sleep(0.5)  # the document's own case waits as well; nothing tells that a poll has begun
    try:
        second = peer.get(sid, timeout=5).status_code
    except httpx.TimeoutException:
        second = 0
    first.answer()
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


def websocket_text(peer: Peer) -> None:
    """Text is heard and answered."""
    with peer.opened() as line:
        line.send("40")
        line.take_connect()


def websocket_binary(peer: Peer) -> None:
    """Binary is heard as what it is."""
    with peer.connected() as line:
        line.send('451-7["echo",{"_placeholder":true,"num":0}]', b"\x01\x02\x03\x04")
        while not str(line.take()).startswith(("437", "461-7")):
            continue


def websocket_wrong_packet(peer: Peer) -> None:
    """A message that is no packet closes the session."""
    with peer.opened() as line:
        line.send("abc")
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
    time.sleep((told["pingInterval"] + told["pingTimeout"]) / 1000 + 5)
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


def polling_close(peer: Peer) -> None:
    """A CLOSE that is posted ends the poll with a NOOP, and the session."""
    sid = peer.joined()
    poll = Aside(peer, sid)
    time.sleep(0.5)  # as above
    expect(peer.post("1", sid).status_code, 200, "status of the POST")
    expect(poll.answer(), (200, "6"), "the poll")
    expect(peer.get(sid).status_code, 400, "status of GET afterwards")


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
        while (packet := line.take()) == "6":
            continue
        expect(str(packet)[:3], "40{", "answer over the websocket")


def upgrade_then_polling(peer: Peer) -> None:
    """After an upgrade the session cannot be polled; the websocket is not hurt by the attempt."""
    with _upgraded(peer) as line:
        sid = line.sid
        answer = peer.get(sid, timeout=10)
        line.line.send("40")
        line.line.take_connect()
        expect(answer.status_code, 400, "status of GET")


def upgrade_twice(peer: Peer) -> None:
    """A second websocket for an upgraded session ends."""
    with _upgraded(peer) as line:
        _expect_no_socket(peer, sid=line.sid)


class _upgraded:  # noqa: N801 - reads like a function
    """An upgraded session."""

    def __init__(self, peer: Peer) -> None:
        self.sid = peer.session()
        self.line = peer.socket(sid=self.sid)
        self.line.send("2probe")
        expect(self.line.take(), "3probe", "answer to the probe")
        self.line.send("5")
        expect(self.line.take(), "6", "answer to the upgrade")

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
    polling_wrong_packet,
    polling_twice_at_once,
    polling_cancelled,
    websocket_text,
    websocket_binary,
    websocket_wrong_packet,
    polling_ping,
    polling_ping_timeout,
    websocket_ping,
    websocket_ping_timeout,
    polling_close,
    websocket_close,
    upgrade,
    upgrade_then_polling,
    upgrade_twice,
)
