"""What the blocking client and the asyncio client have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, TypeVar

from ..rest.addresses import check_url
from ..rest.flows import Session
from ..rest.tokens import AsyncToken, TokenSource
from ..rest.transport import Verify, make_context

if TYPE_CHECKING:
    from ..stream.feed import Feed, MakeConnection
    from ..stream.mailbox import Mailbox

TokenT = TypeVar("TokenT", bound=AsyncToken)
TransportT = TypeVar("TransportT")


class BaseCaller(Generic[TokenT, TransportT]):
    """Knows the server, the token and the limits of calls."""

    def __init__(
        self,
        url: str = "http://localhost:8000",
        token: TokenT | None = None,
        timeout: float = 30.0,
        *,
        retries: bool = True,
        verify: Verify = True,
        transport: TransportT | None = None,
        make_connection: MakeConnection | None = None,
    ) -> None:
        """Prepare a client of the server at `url`; nothing is sent yet.

        Args:
            url: The server's address, maybe with a path in front of `/api`.
            token: A token, or a function that returns one. It is called for another token before the last one expires,
                when the server refuses it, and for each connection of a stream.
            timeout: Seconds for one call, with its repetitions.
            retries: Whether to repeat calls that failed for a reason that may pass.
            verify: False to accept every certificate, or the path of a file with certificates of authorities.
            transport: What sends the requests instead of a network connection, for tests.
            make_connection: What makes the connections of streams, for tests.

        """
        self.url = check_url(url)
        self._session = Session(TokenSource(token), timeout, retries)
        self._tls = make_context(self.url, verify)
        self._make_connection = make_connection
        self._open_http(transport)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"

    def _open_http(self, transport: TransportT | None) -> None:
        """Make the HTTP client."""
        raise NotImplementedError

    def _make_feed(self, mailbox: Mailbox, token: str | Callable[[], str] | None, close_within: float) -> Feed:
        # Programs that follow no stream need not load the Socket.IO client.
        from ..socket_connection import SocketConnection
        from ..stream.feed import Feed

        make = self._make_connection or (lambda receive: SocketConnection(receive, self._tls))
        return Feed(self.url, token, mailbox, make, close_within=close_within)
