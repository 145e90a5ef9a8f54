"""Cases of the Engine.IO protocol, v4, from its document and its own test suite.

Its suite speaks to a server that echoes; here a server is asked to connect a namespace, which it answers as well.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

import httpx2

from tests.conformance.http_cases import HTTP_CASES
from tests.conformance.line import GRACE, Peer, Surprise, expect, expect_no_socket, read_open
from tests.conformance.polling_cases import POLLING_CASES
from tests.conformance.upgrade_cases import UPGRADE_CASES

HANDSHAKE = {"sid", "upgrades", "pingInterval", "pingTimeout", "maxPayload"}
#: Transports that there are not; some are names that every object has in JavaScript.
NO_TRANSPORTS = ("", "abc", "constructor", "__proto__")


def polling_opens(peer: Peer) -> None:
    """A GET without a sid opens a session."""
    answer = peer.get()
    expect(answer.status_code, 200, "status")
    fields = read_open(answer.text)
    expect(set(fields), HANDSHAKE, "fields")
    expect(fields["upgrades"], ["websocket"], "upgrades")
    if not all(isinstance(fields[name], int) and fields[name] > 0 for name in ("pingInterval", "pingTimeout")):
        raise Surprise(f"intervals: {fields}")


def polling_wrong_version(peer: Peer) -> None:
    """A request without EIO, or with an invalid one, is refused."""
    for version in ("", "abc", "3"):
        expect(peer.get(EIO=version).status_code, 400, f"status for EIO={version!r}")


def polling_wrong_transport(peer: Peer) -> None:
    """A request without a transport, or with an invalid one, is refused."""
    for transport in NO_TRANSPORTS:
        expect(peer.get(transport=transport).status_code, 400, f"status for transport={transport!r}")


def polling_wrong_method(peer: Peer) -> None:
    """Only GET opens a session."""
    expect(httpx2.post(peer.http()).status_code, 400, "status of POST")
    expect(httpx2.put(peer.http()).status_code, 400, "status of PUT")


def polling_unknown_session(peer: Peer) -> None:
    """An unknown sid is refused."""
    expect(peer.get("unknown").status_code, 400, "status of GET")
    expect(peer.post("40", "unknown").status_code, 400, "status of POST")


def websocket_opens(peer: Peer) -> None:
    """A websocket without a sid opens a session that cannot be upgraded any further."""
    with peer.socket() as line:
        fields = line.take_open()
        expect(set(fields), HANDSHAKE, "fields")
        expect(fields["upgrades"], [], "upgrades")


def websocket_wrong_version(peer: Peer) -> None:
    """A websocket without EIO, or with an invalid one, is closed."""
    for version in ("", "abc", "3"):
        expect_no_socket(peer, EIO=version)


def websocket_wrong_transport(peer: Peer) -> None:
    """A websocket without a transport, or with an invalid one, is closed."""
    for transport in NO_TRANSPORTS:
        expect_no_socket(peer, transport=transport)


def websocket_unknown_session(peer: Peer) -> None:
    """A websocket for an unknown sid is closed."""
    expect_no_socket(peer, sid="unknown")


def websocket_text(peer: Peer) -> None:
    """Text is received and answered."""
    with peer.opened() as line:
        line.send("40")
        line.take_connect()


def websocket_binary(peer: Peer) -> None:
    """Binary data is received as binary data."""
    with peer.connected() as line:
        line.send('451-["message",{"_placeholder":true,"num":0}]', b"\x01\x02\x03\x04")
        line.take_packet('451-["message-back"', 4)
        expect(line.take(), b"\x01\x02\x03\x04", "attachment")


def websocket_wrong_packet(peer: Peer) -> None:
    """A message that is not a packet closes the session."""
    for packet in ("abc", "7", ""):
        with peer.opened() as line:
            line.send(packet)
            line.expect_end()


def websocket_noop(peer: Peer) -> None:
    """A NOOP of the client has no effect."""
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
    """The server pings, the client answers, and the session stays open."""
    sid = peer.joined()
    for _ in range(2):
        answer = peer.get(sid)
        expect((answer.status_code, answer.text), (200, "2"), "poll")
        expect(peer.post("3", sid).status_code, 200, "status of the pong")
    expect(peer.post("421" + peer.wants(), sid).status_code, 200, "status of a later packet")


def polling_ping_timeout(peer: Peer) -> None:
    """The session of a client that never answers a ping is closed."""
    fields = read_open(peer.get().text)
    end = time.monotonic() + (fields["pingInterval"] + fields["pingTimeout"]) / 1000 + GRACE
    while (status := peer.post("6", fields["sid"]).status_code) == 200 and time.monotonic() < end:
        time.sleep(1)
    expect(status, 400, "status afterwards")


def websocket_ping(peer: Peer) -> None:
    """The server pings, the client answers, and the session stays open."""
    with peer.connected() as line:
        line.outlive_pings(peer)


def websocket_ping_timeout(peer: Peer) -> None:
    """A client that never answers a ping is disconnected."""
    with peer.socket() as line:
        fields = line.take_open()
        line.send("40")
        line.expect_end((fields["pingInterval"] + fields["pingTimeout"]) / 1000 + GRACE)


def websocket_close(peer: Peer) -> None:
    """A CLOSE ends the connection."""
    with peer.opened() as line:
        line.send("1")
        line.expect_end()


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
    *HTTP_CASES,
    *POLLING_CASES,
    websocket_text,
    websocket_binary,
    websocket_wrong_packet,
    websocket_noop,
    websocket_too_large,
    polling_ping,
    polling_ping_timeout,
    websocket_ping,
    websocket_ping_timeout,
    websocket_close,
    *UPGRADE_CASES,
)
