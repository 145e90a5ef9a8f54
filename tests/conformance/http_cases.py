"""Cases of HTTP responses, from the tests of Node's engine.io; see `engine_cases`."""

from __future__ import annotations

import json
from collections.abc import Callable

import httpx2

from tests.conformance.line import GRACE, PAGE, Peer, Surprise, expect, read_open
from tests.conformance.raw import WANTS_SOCKET, Raw

#: A page of an origin that is not allowed.
STRANGER = "http://bad-domain.example"


def refusals_say_why(peer: Peer) -> None:
    """A refusal is JSON with the code and the message of the reference server."""
    refusals = [
        (peer.get(transport="tobi"), 0, "Transport unknown"),
        (peer.get(transport="constructor"), 0, "Transport unknown"),
        (peer.get(transport="__proto__"), 0, "Transport unknown"),
        (peer.get("unknown"), 1, "Session ID unknown"),
        (httpx2.post(peer.http(), timeout=GRACE), 2, "Bad handshake method"),
        (peer.get(transport="websocket"), 3, "Bad request"),
        (peer.get(EIO="3"), 5, "Unsupported protocol version"),
        (peer.get(EIO=""), 5, "Unsupported protocol version"),
    ]
    for answer, code, message in refusals:
        expect(
            (answer.status_code, answer.json()), (400, {"code": code, "message": message}), f"answer to {answer.url}"
        )


def path_below(peer: Peer) -> None:
    """The path after `/socket.io/` is ignored."""
    answer = httpx2.get(f"{peer.url}/socket.io/default/?EIO=4&transport=polling", timeout=GRACE)
    expect(answer.status_code, 200, "status")
    read_open(answer.text)


def query_of_its_own(peer: Peer) -> None:
    """The URL may have parameters of the application."""
    read_open(peer.get(a="b", c="d").text)
    with peer.socket(a="b", c="d") as line:
        line.take_open()


def no_cookie(peer: Peer) -> None:
    """A handshake sets no cookie."""
    expect(peer.get().headers.get("set-cookie"), None, "cookie")


def not_kept(peer: Peer) -> None:
    """No cache may store the response to a poll."""
    expect(peer.get().headers.get("cache-control"), "no-store", "Cache-Control")


def compressed(peer: Peer) -> None:
    """A long response is compressed for a client that accepts this; a short one is not."""
    for encoding in ("gzip", "deflate"):
        expect(_encoding(peer, encoding, 4000), encoding, "encoding of a long answer")
    expect(_encoding(peer, "gzip, deflate", 4000), "gzip", "encoding of a long answer to who reads both")
    expect(_encoding(peer, "gzip, deflate", 100), None, "encoding of a short answer")
    expect(_encoding(peer, "identity", 4000), None, "encoding for who reads none")


def _encoding(peer: Peer, accepted: str, size: int) -> str | None:
    sid = peer.joined()
    peer.post(f'42["message","{"a" * size}"]', sid)
    answer = peer.get(sid, {"Accept-Encoding": accepted})
    expect(json.loads(answer.text[2:]), ["message-back", "a" * size], "what it says")
    encoding: str | None = answer.headers.get("content-encoding")
    return encoding


def page_of_another_origin(peer: Peer) -> None:
    """A page of an allowed origin may read responses, and learns this from the preflight response."""
    answer = peer.get(headers={"Origin": PAGE})
    expect((answer.status_code, answer.headers.get("access-control-allow-origin")), (200, PAGE), "answer to GET")
    expect(answer.headers.get("access-control-allow-methods"), None, "methods named in the answer to GET")
    pushed = peer.post("40", read_open(answer.text)["sid"], {"Origin": PAGE})
    expect((pushed.status_code, pushed.headers.get("access-control-allow-origin")), (200, PAGE), "answer to POST")
    asked = {"Origin": PAGE, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    ahead = httpx2.options(peer.http(), headers=asked, timeout=GRACE)
    expect(ahead.status_code in (200, 204), True, f"answer to OPTIONS, which is {ahead.status_code}")
    expect(ahead.headers.get("access-control-allow-origin"), PAGE, "allowed origin")
    expect("POST" in ahead.headers.get("access-control-allow-methods", ""), True, "whether POST is allowed")
    expect("content-type" in ahead.headers.get("access-control-allow-headers", "").lower(), True, "whether headers are")


def page_of_a_stranger(peer: Peer) -> None:
    """A page of an origin that is not allowed may not read responses."""
    for answer in (peer.get(headers={"Origin": STRANGER}), httpx2.options(peer.http(), headers={"Origin": STRANGER})):
        if answer.headers.get("access-control-allow-origin") in (STRANGER, "*"):
            raise Surprise("it may")


def websocket_without_a_transport(peer: Peer) -> None:
    """A websocket request without a transport is answered with HTTP 400."""
    with Raw(peer, peer.http(transport=""), WANTS_SOCKET) as raw:
        expect(raw.answer()[0], 400, "status")


def websocket_and_garbage(peer: Peer) -> None:
    """Bytes after a websocket request that form no frame do not affect other clients."""
    for sid in ("", peer.session()):
        with Raw(peer, peer.http(transport="websocket", sid=sid), WANTS_SOCKET, b"test"):
            peer.settle()
        with peer.connected() as line:
            line.send("421" + peer.wants())
            line.take_ack(1)


def another_upgrade(peer: Peer) -> None:
    """A request to speak another protocol is answered or ended, and not left open."""
    with Raw(peer, f"{peer.url}/nothing", {"Connection": "Upgrade", "Upgrade": "IRC/6.9"}) as raw:
        expect(raw.answer()[0] != 0 or raw.ends(), True, "whether it is")


HTTP_CASES: tuple[Callable[[Peer], None], ...] = (
    refusals_say_why,
    path_below,
    query_of_its_own,
    no_cookie,
    not_kept,
    compressed,
    page_of_another_origin,
    page_of_a_stranger,
    websocket_without_a_transport,
    websocket_and_garbage,
    another_upgrade,
)
