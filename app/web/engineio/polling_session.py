"""An Engine.IO session that polls, or has a websocket that the fast path does not serve."""

from __future__ import annotations

import threading
from typing import Any

from engineio import exceptions, packet

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.web.engineio.counted_socket import CountedSocket
from swallowtail.app.web.engineio.packets import CLIENT_TYPES, read_packet
from swallowtail.app.web.engineio.polling_responses import BAD_REQUEST, refuse
from swallowtail.app.web.engineio.stock_websocket import HANDLED, SOCKET, StockWebsocket
from swallowtail.app.web.websocket.budgets import MemoryBudgets
from swallowtail.app.web.websocket.handshake import accept_key, is_key

#: Separates the packets of a payload.
SEPARATOR = "\x1e"
#: Seconds that a poll waits once the client knows that its websocket works; as long as the reference server waits.
PROBED_WAIT = 0.1


class PollingSession(CountedSocket):
    """A session of python-engineio's whose polling, queue and websocket are served here."""

    def __init__(self, server: Any, sid: str, settings: Settings, budgets: MemoryBudgets) -> None:
        super().__init__(server, sid, budgets.outgoing)
        self._settings = settings
        self._budgets = budgets
        self._polling, self._posting, self._upgrading = (threading.Lock() for _ in range(3))
        self._upgrade_reported = False
        #: A websocket that this session may be upgraded to.
        self._candidate: Any = None
        #: Bytes of one message; few until a namespace is joined.
        self.max_message = settings.max_opening_bytes

    def set_max_message(self, size: int) -> None:
        """Accept messages of at most `size` bytes from now on."""
        self.max_message = size

    def poll(self) -> list[Any]:
        """Wait for packets, for a websocket or a poll; nothing when the session has ended. Raises EngineIOError."""
        return self._wait_for_packets(is_poll=False) if self.upgraded else self.answer_poll()

    def answer_poll(self) -> list[Any]:
        """Wait for packets, also during the probe of a websocket. An EngineIOError ends the session."""
        try:
            if not self._polling.acquire(blocking=False):
                raise exceptions.EngineIOError("two polls at once")
            try:
                return self._wait_for_packets(is_poll=True)
            finally:
                self._polling.release()
        except exceptions.EngineIOError:
            self.close(wait=False, reason=self.server.reason.TRANSPORT_ERROR)
            raise

    def receive(self, pkt: Any) -> None:
        """Handle a packet of the client; types without a meaning for a server are ignored."""
        if pkt.packet_type > packet.NOOP:
            raise exceptions.SocketIsClosedError
        if pkt.packet_type in CLIENT_TYPES:
            super().receive(pkt)

    def receive_payload(self, body: str) -> None:
        """Handle the packets of a POST request. Raises ValueError, and handles none, when it is no payload."""
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

    def remaining_packets(self) -> list[Any]:
        """Return packets that are left in a closed session, as many as one response holds."""
        remaining: list[Any] = []
        while not self.queue.empty() and len(remaining) < self._settings.poll_packets:
            if (pkt := self.take(0)) is not None:
                remaining.append(pkt)
        return remaining

    def close(self, wait: bool = True, abort: bool = False, reason: Any = None) -> None:
        """End the session without waiting for a poll; packets can be fetched only if the server ended it."""
        if self.closed or self.closing:
            return
        if self._candidate is not None and not self.upgraded:
            self._candidate.close()
        reasons = self.server.reason
        if reason == reasons.CLIENT_DISCONNECT and not self.upgraded and self._polling.locked():
            self.queue.put(packet.Packet(packet.NOOP))
        super().close(wait=wait and self.upgraded, abort=abort, reason=reason)
        if self.upgraded or reason not in (None, reasons.SERVER_DISCONNECT):
            self.server.sockets.pop(self.sid, None)
            if not self.upgraded and not self._polling.locked():
                self.clear()
        elif not self.upgraded:
            # Its packets count until they are fetched or forgotten, but there is no connection to close for them.
            self._budgets.outgoing.remove_receiver(self)

    def receiving_started(self) -> None:
        """See `MessageReceiver`."""
        if self.upgraded and not self._upgrade_reported:
            self._upgrade_reported = True
            self.server._trigger_event("upgrade", self.sid, run_async=False)

    def _upgrade_websocket(self, environ: dict[str, Any], start_response: Any) -> Any:
        key = environ.get("HTTP_SEC_WEBSOCKET_KEY", "").encode("latin-1")
        is_valid = is_key(key) and environ.get("HTTP_SEC_WEBSOCKET_VERSION") == "13" and SOCKET in environ
        # One at a time: each occupies a place until the probe has ended.
        if not is_valid or not self._upgrading.acquire(blocking=False):
            refusal = refuse(*BAD_REQUEST)
            return {**refusal, "headers": [*refusal["headers"], ("Sec-WebSocket-Version", "13")]}
        silence = self.server.ping_interval + self.server.ping_timeout
        ws = StockWebsocket(environ[SOCKET], self, self._settings, self._budgets, silence)
        try:
            environ[SOCKET].sendall(accept_key(key))
            self._websocket_handler(ws)
        finally:
            ws.close()
            self._budgets.incoming.set_size(ws, 0)
            if self.closed or self.upgraded:
                self.clear()
            else:
                self._upgrading.release()
        environ[HANDLED]()
        return []

    def _websocket_handler(self, ws: Any) -> Any:
        if self.connected:
            self._candidate = ws
        try:
            return super()._websocket_handler(ws)
        except (ValueError, IndexError):
            # The client sent an invalid packet. If the upgrade has not happened, the session continues to poll.
            if self.upgraded:
                self.close(wait=False, abort=True, reason=self.server.reason.TRANSPORT_ERROR)
            return []
        finally:
            self._candidate = None
            self.upgrading = False

    def _wait_for_packets(self, *, is_poll: bool) -> list[Any]:
        """Wait for the first packet, and return it with those behind it, as many as one response holds."""
        empty = self.server.get_queue_empty_exception()
        packets: list[Any] = []
        # A websocket's packets are written one by one, and count until then.
        most = self._settings.poll_packets if is_poll else 1
        # The client ends its polling once it knows that the websocket works.
        is_ending = is_poll and self.upgrading and self._candidate is not None and self._candidate.has_sent
        wait = PROBED_WAIT if is_ending else self.server.ping_interval + self.server.ping_timeout
        while len(packets) < most:
            try:
                pkt = self.take(0 if packets else wait)
            except empty:
                if packets:
                    break
                if is_ending:
                    return [packet.Packet(packet.NOOP)]
                raise exceptions.QueueEmpty from None
            if pkt is None:
                if packets:
                    # For the next call.
                    self.queue.put(None)
                break
            # A NOOP ends a poll; a websocket must not send it.
            if pkt.packet_type != packet.NOOP or is_poll:
                packets.append(pkt)
        return packets
