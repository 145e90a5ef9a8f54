"""Executes flows in the thread of the caller."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import httpx2

from ..rest import flows
from ..rest.calls import Call
from ..rest.flows import Begun, CallForToken, Deliver, Done, Flow, Send, Sleep
from ..rest.tokens import Token
from ..rest.transport import client_options, lost_requests, request_options
from ..stream.log_stream import OpenFeed, Take
from ..stream.mailbox import Mailbox
from .caller import BaseCaller

T = TypeVar("T")


#: Seconds that the end of a stream waits for its connection to close.
_CLOSE_WITHIN = 2.0


class Caller(BaseCaller[Token, httpx2.BaseTransport]):
    """Sends calls to one server, in the thread of the caller."""

    def _open_http(self, transport: httpx2.BaseTransport | None) -> None:
        self._http = httpx2.Client(**client_options(self.url, self._tls), transport=transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _call(self, call: Call[T]) -> T:
        return self._run(flows.perform(self._session, call))

    def _run(self, flow: Flow[T]) -> T:
        outcome = self.advance(flow)
        assert isinstance(outcome, Done)
        result: T = outcome.result
        return result

    def _stream(self, flow: Flow[None]) -> Stream[Any]:
        return Stream(self, flow)

    def advance(self, flow: Flow[Any], is_stopping: Callable[[], bool] = bool) -> Deliver | Begun | Done:
        """Execute the commands of a flow up to its next item or its end, or until it `is_stopping`."""
        answer: Any = None
        fault: Exception | None = None
        while True:
            try:
                command = flow.send(answer) if fault is None else flow.throw(fault)
            except StopIteration as end:
                return Done(end.value)
            if isinstance(command, Deliver | Begun):
                return command
            answer = fault = None
            if is_stopping():
                flow.close()
                return Done(None)
            try:
                answer = self._execute(command)
            except Exception as error:
                fault = error

    def _execute(self, command: Any) -> Any:
        match command:
            case Send():
                with lost_requests(self.url):
                    return self._http.request(**request_options(command))
            case Sleep():
                time.sleep(command.seconds)
            case CallForToken():
                return command.function()
            case OpenFeed():
                feed = self._make_feed(Mailbox(_ignore), self._session.tokens.for_connections, _CLOSE_WITHIN)
                feed.open(command.instance, command.since, live=command.live)
                return feed
            case Take():
                return command.feed.take(command.timeout)
        return None


class Stream(Generic[T]):
    """An iterator whose items come from the server; `close` ends it early, as does leaving a `with` block."""

    def __init__(self, caller: Caller, flow: Flow[None]) -> None:
        self._caller = caller
        self._flow = flow
        self._stopping = threading.Event()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        outcome: Any = Begun()
        while isinstance(outcome, Begun):
            outcome = self._caller.advance(self._flow, self._stopping.is_set)
        if isinstance(outcome, Done):
            raise StopIteration
        item: T = outcome.item
        return item

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def begin(self) -> Self:
        """Find the position from which on events belong to the stream."""
        self._caller.advance(self._flow)
        return self

    def close(self) -> None:
        """End the iterator. Another thread that waits for an item gets StopIteration within two seconds."""
        self._stopping.set()
        # The other thread executes the flow.
        with suppress(ValueError):
            self._flow.close()


def _ignore() -> None:
    """Do nothing: a thread that waits for an item is woken by the mailbox."""
