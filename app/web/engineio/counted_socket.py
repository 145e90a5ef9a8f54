"""An Engine.IO socket with a queue whose packets count in the process's budget of outgoing bytes."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from engineio.socket import Socket

from swallowtail.app.web.engineio.packets import SharedFrame, TextFrame
from swallowtail.app.web.websocket.outgoing_budget import OutgoingBudget, Queued


class CountedSocket(Socket):  # type: ignore[misc] # the library has no types
    """python-engineio's socket, which is aborted when the budget is spent and it makes no progress."""

    def __init__(self, server: Any, sid: str, budget: OutgoingBudget) -> None:
        super().__init__(server, sid)
        self._budget = budget

    def send(self, pkt: Any) -> None:
        """Queue a packet; the budget may abort sockets for it, this one included."""
        if not self.check_ping_timeout():
            return
        for piece in pieces_of(pkt):
            self._budget.add(piece)
        self._budget.add_receiver(self)
        self.queue.put(pkt)
        self._budget.enforce()

    def take(self, wait: float) -> Any:
        """Remove a packet from the queue, waiting for it at most `wait` seconds; None marks the end."""
        pkt = self.queue.get(timeout=wait) if wait else self.queue.get(block=False)
        self.queue.task_done()
        self._uncount(pkt)
        return pkt

    def clear(self) -> None:
        """Remove all packets from the queue."""
        with suppress(self.server.get_queue_empty_exception()):
            while True:
                self._uncount(self.queue.get(block=False))
                self.queue.task_done()
        self._budget.remove_receiver(self)
        if self.closed:
            # Ends a poll that begins all the same.
            self.queue.put(None)

    def abort(self) -> None:
        """See `SlowReceiver`."""
        self.clear()
        self.server.start_background_task(
            partial(self.close, wait=False, abort=True, reason=self.server.reason.TRANSPORT_ERROR)
        )

    def _uncount(self, pkt: Any) -> None:
        for piece in pieces_of(pkt):
            self._budget.remove(piece)
        if self.queue.empty():
            self._budget.remove_receiver(self)
        else:
            self._budget.mark_progress(self)

    def __del__(self) -> None:
        # Packets that the client never fetched still count. A gevent process that ends can use no queue.
        with suppress(RuntimeError):
            self.clear()


def pieces_of(pkt: Any) -> Sequence[Queued]:
    """Return the objects that a queued packet keeps in memory; packets share large ones."""
    if isinstance(pkt, TextFrame):
        return (pkt.wire,)
    if isinstance(pkt, SharedFrame):
        return pkt.parts
    data = pkt.data if pkt is not None else None
    return (data,) if isinstance(data, bytes | str) else ()
