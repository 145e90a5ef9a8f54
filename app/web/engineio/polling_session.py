"""One Engine.IO session that polls, or has a websocket beside the fast path. Beside the road, under `web/engineio/polling`."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from engineio import exceptions, packet
from engineio.socket import Socket

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.web.engineio.packets import SharedFrame, TextFrame
from swallowtail.app.web.engineio.polling_errors import NO_REQUEST, refuse
from swallowtail.app.web.engineio.stock_websocket import HANDLED, SOCKET, StockSocket
from swallowtail.app.web.websocket.budgets import MemoryBudgets
from swallowtail.app.web.websocket.handshake import accept_key, is_key
from swallowtail.app.web.websocket.outgoing_budget import Queued

#: What parts the packets of a payload.
SEPARATOR = "\x1e"
#: Seconds that a poll is held once a client was told that its websocket works; as long as the reference server does.
PROBED_WAIT = 0.1
#: How a packet of text may begin: its type, or that it is binary.
_BEGINNINGS = frozenset("0123456b")
#: Packets of a client that mean something to a server; others, such as a NOOP, are let go by.
MEANT = (packet.CLOSE, packet.PONG, packet.MESSAGE)


class Session(Socket):  # type: ignore[misc] # the library has no types
    """A session of the library's that polls, or that has a websocket which is not on the fast path."""

    def __init__(self, server: Any, sid: str, settings: Settings, budgets: MemoryBudgets) -> None:
        super().__init__(server, sid)
        self._settings = settings
        self._budgets = budgets
        self._outgoing = budgets.outgoing
        self._polling, self._posting, self._upgrading = (threading.Lock() for _ in range(3))
        self._is_told = False
        #: A websocket that this session may be upgraded to.
        self._aside: Any = None
        #: Bytes of what is heard at once; few until a namespace is joined.
        self.longest = settings.max_opening_bytes

    def limit(self, longest: int) -> None:
        """Hear messages of at most so many bytes from now on."""
        self.longest = longest

    def poll(self) -> list[Any]:
        """Wait for packets, for a websocket or a poll; nothing when the session is over. Raises EngineIOError."""
        return self._gather(is_poll=False) if self.upgraded else self.answer_poll()

    def answer_poll(self) -> list[Any]:
        """Wait for packets, also while a websocket is tried. Raises EngineIOError, which ends the session.

        That is when somebody polls already, or nothing came in the time in which a ping has to.
        """
        try:
            if not self._polling.acquire(blocking=False):
                raise exceptions.EngineIOError("two polls at once")
            try:
                return self._gather(is_poll=True)
            finally:
                self._polling.release()
        except exceptions.EngineIOError:
            self.close(wait=False, reason=self.server.reason.TRANSPORT_ERROR)
            raise

    def receive(self, pkt: Any) -> None:
        """Take a packet of the client; one that means nothing to a server is let go by."""
        if pkt.packet_type > packet.NOOP:
            raise exceptions.SocketIsClosedError
        if pkt.packet_type in MEANT:
            super().receive(pkt)

    def take_payload(self, body: str) -> None:
        """Take what a client posted. Raises ValueError, and handles nothing, when it is no payload."""
        parts = body.split(SEPARATOR, self._settings.max_post_packets)
        if len(parts) > self._settings.max_post_packets:
            raise ValueError("too many packets")
        packets = [read_packet(part) for part in parts]
        if not self._posting.acquire(blocking=False):
            raise ValueError("two requests at once")
        try:
            self._receive_all(packets)
        finally:
            self._posting.release()

    def _receive_all(self, packets: list[Any]) -> None:
        for number, pkt in enumerate(packets, 1):
            if self.closed:
                return
            self.receive(pkt)
            if number % self._settings.client_rate == 0:
                self.server.sleep(1.0)

    def take_rest(self) -> list[Any]:
        """Return what is left of a session that is over, as much as one answer holds."""
        rest: list[Any] = []
        while not self.queue.empty() and len(rest) < self._settings.poll_packets:
            if (pkt := self._take(0)) is not None:
                rest.append(pkt)
        return rest

    def close(self, wait: bool = True, abort: bool = False, reason: Any = None) -> None:
        """End the session, which waits for no poll; only what the server itself ends can still be fetched from."""
        if self.closed or self.closing:
            return
        if self._aside is not None and not self.upgraded:
            self._aside.close()
        reasons = self.server.reason
        if reason == reasons.CLIENT_DISCONNECT and not self.upgraded and self._polling.locked():
            self.queue.put(packet.Packet(packet.NOOP))
        super().close(wait=wait and self.upgraded, abort=abort, reason=reason)
        if self.upgraded or reason not in (None, reasons.SERVER_DISCONNECT):
            self.server.sockets.pop(self.sid, None)
            if not self.upgraded and not self._polling.locked():
                self._drop()
        elif not self.upgraded:
            # It counts until it is fetched or forgotten; nobody can be closed for it.
            self._outgoing.remove_receiver(self)

    def send(self, pkt: Any) -> None:
        """Put a packet into the queue. What waits there counts in the process's budget, which may end the session."""
        if not self.check_ping_timeout():
            return
        for piece in pieces_of(pkt):
            self._outgoing.add(piece)
        self._outgoing.add_receiver(self)
        self.queue.put(pkt)
        self._outgoing.enforce()

    def abort(self) -> None:
        """See `SlowReceiver`."""
        self._drop()
        self.server.start_background_task(
            partial(self.close, wait=False, abort=True, reason=self.server.reason.TRANSPORT_ERROR)
        )

    def __del__(self) -> None:
        # Of a session that the server ended nobody fetched the rest. A gevent process that ends can ask no queue.
        with suppress(RuntimeError):
            self._drop()

    def heard(self) -> None:
        """See `Hearer`."""
        if self.upgraded and not self._is_told:
            self._is_told = True
            self.server._trigger_event("upgrade", self.sid, run_async=False)

    def _upgrade_websocket(self, environ: dict[str, Any], start_response: Any) -> Any:
        key = environ.get("HTTP_SEC_WEBSOCKET_KEY", "").encode("latin-1")
        is_asked = is_key(key) and environ.get("HTTP_SEC_WEBSOCKET_VERSION") == "13" and SOCKET in environ
        # One at a time: each keeps a place until it has shown what it is.
        if not is_asked or not self._upgrading.acquire(blocking=False):
            refusal = refuse(*NO_REQUEST)
            return {**refusal, "headers": [*refusal["headers"], ("Sec-WebSocket-Version", "13")]}
        patience = self.server.ping_interval + self.server.ping_timeout
        ws = StockSocket(environ[SOCKET], self, self._settings, self._budgets, patience)
        try:
            environ[SOCKET].sendall(accept_key(key))
            self._websocket_handler(ws)
        finally:
            ws.close()
            self._budgets.incoming.set_size(ws, 0)
            if self.closed or self.upgraded:
                self._drop()
            else:
                self._upgrading.release()
        environ[HANDLED]()
        return []

    def _websocket_handler(self, ws: Any) -> Any:
        if self.connected:
            self._aside = ws
        try:
            return super()._websocket_handler(ws)
        except (ValueError, IndexError):
            # What came is no packet. Where it was to be upgraded, its session polls on.
            if self.upgraded:
                self.close(wait=False, abort=True, reason=self.server.reason.TRANSPORT_ERROR)
            return []
        finally:
            self._aside = None
            self.upgrading = False

    def _drop(self) -> None:
        """Forget what waits."""
        empty = self.server.get_queue_empty_exception()
        with suppress(empty):
            while True:
                self._release(self.queue.get(block=False))
                self.queue.task_done()
        self._outgoing.remove_receiver(self)
        if self.closed:
            # For whoever polls all the same.
            self.queue.put(None)

    def _release(self, pkt: Any) -> None:
        for piece in pieces_of(pkt):
            self._outgoing.remove(piece)
        if self.queue.empty():
            self._outgoing.remove_receiver(self)
        else:
            self._outgoing.mark_progress(self)

    def _gather(self, *, is_poll: bool) -> list[Any]:
        """Wait for the first packet, and take those behind it, as many as one answer holds."""
        empty = self.server.get_queue_empty_exception()
        packets: list[Any] = []
        # A websocket's are written one by one, and count until then.
        most = self._settings.poll_packets if is_poll else 1
        # The client ends its polling once it was told that the websocket works.
        is_ending = is_poll and self.upgrading and self._aside is not None and self._aside.has_told
        longest = PROBED_WAIT if is_ending else self.server.ping_interval + self.server.ping_timeout
        while len(packets) < most:
            try:
                pkt = self._take(0 if packets else longest)
            except empty:
                if packets:
                    break
                if is_ending:
                    return [packet.Packet(packet.NOOP)]
                raise exceptions.QueueEmpty from None
            if pkt is None:
                if packets:
                    # For the next who looks.
                    self.queue.put(None)
                break
            # Meant to end a poll, and there was none: it must not come over the websocket.
            if pkt.packet_type != packet.NOOP or is_poll:
                packets.append(pkt)
        return packets

    def _take(self, longest: float) -> Any:
        """Take a packet out of the queue, and wait so many seconds for it."""
        pkt = self.queue.get(timeout=longest) if longest else self.queue.get(block=False)
        self.queue.task_done()
        self._release(pkt)
        return pkt


def read_packet(text: str) -> Any:
    """Return one packet of a client's text. Raises ValueError."""
    if text[:1] not in _BEGINNINGS or not text:
        raise ValueError("this is no Engine.IO packet")
    return packet.Packet(encoded_packet=text)


def pieces_of(pkt: Any) -> Sequence[Queued]:
    """Return what a packet in a queue keeps in memory; what many packets share is one object."""
    if isinstance(pkt, TextFrame):
        return (pkt.wire,)
    if isinstance(pkt, SharedFrame):
        return pkt.parts
    data = pkt.data if pkt is not None else None
    return (data,) if isinstance(data, bytes | str) else ()
