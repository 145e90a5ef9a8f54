"""Counts responses that are being written in the process's memory budget for slow clients.

A server keeps a response until the client has read it, be it a poll with a snapshot or a page.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

from swallowtail.app.web.engineio.stock_websocket import SOCKET, system_socket
from swallowtail.app.web.websocket.outgoing_budget import OutgoingBudget, QueuedWrite

#: Bytes that a system's socket buffer takes in any case.
_SMALL = 4096


class _CountedResponse:
    """One response being written; a `SlowReceiver`."""

    def __init__(self, pieces: Iterable[bytes], sock: Any, budget: OutgoingBudget) -> None:
        self._pieces = pieces
        self._sock = sock
        self._write = QueuedWrite(budget, self)

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            if len(piece) < _SMALL:
                yield piece
                continue
            try:
                self._write.begin(piece)
                yield piece
            finally:
                self._write.end()

    def close(self) -> None:
        close = getattr(self._pieces, "close", None)
        if close is not None:
            close()

    def abort(self) -> None:
        """See `SlowReceiver`. The writing handler gets an error."""
        self._write.end()
        with suppress(OSError):
            system_socket(self._sock).shutdown(socket.SHUT_RDWR)


def count_responses(app: Any, budget: OutgoingBudget) -> Any:
    """Return a WSGI application whose responses count in the budget, which may abort them."""

    def serve(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        response: Iterable[bytes] = app(environ, start_response)
        sock = environ.get(SOCKET)
        if sock is None or (isinstance(response, list) and sum(map(len, response)) < _SMALL):
            # Servers derive Content-Length from a list.
            return response
        return _CountedResponse(response, sock, budget)

    return serve
