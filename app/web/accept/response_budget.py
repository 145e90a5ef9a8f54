"""Has what is being written of answers count among what waits for clients. Before the road, around the application.

A server holds what it was given until the client has taken it, a poll's answer with a snapshot as well as a page.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

from swallowtail.app.web.engineio.stock_websocket import SOCKET, bare
from swallowtail.app.web.websocket.outgoing_budget import OutgoingBudget, QueuedWrite

#: Bytes that a client need not have taken for a server to be done with them.
SMALL = 4096


class _CountedResponse:
    """One answer on its way; a `Waiting`."""

    def __init__(self, pieces: Iterable[bytes], line: Any, outbound: OutgoingBudget) -> None:
        self._pieces = pieces
        self._line = line
        self._hold = QueuedWrite(outbound, self)

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            if len(piece) < SMALL:
                yield piece
                continue
            try:
                self._hold.begin(piece)
                yield piece
            finally:
                self._hold.end()

    def close(self) -> None:
        """Close the answer that this is about."""
        close = getattr(self._pieces, "close", None)
        if close is not None:
            close()

    def lose(self) -> None:
        """See `Waiting`: whoever writes finds that the client is gone."""
        self._hold.end()
        with suppress(OSError):
            bare(self._line).shutdown(socket.SHUT_RDWR)


def count_responses(app: Any, outbound: OutgoingBudget) -> Any:
    """Return a WSGI application that answers as `app` does; each of its answers may be cut off."""

    def serve(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        answer: Iterable[bytes] = app(environ, start_response)
        line = environ.get(SOCKET)
        if line is None or (isinstance(answer, list) and sum(map(len, answer)) < SMALL):
            # A server that sees a list knows how long it is.
            return answer
        return _CountedResponse(answer, line, outbound)

    return serve
