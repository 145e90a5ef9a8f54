"""Executes flows in the thread of the caller."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import httpx2

from . import flows
from .addresses import check_url
from .calls import Call
from .flows import CallForToken, Deliver, Done, Flow, Send, Session, Sleep
from .tokens import Token, TokenSource
from .transport import Verify, client_options, lost_requests, request_options

T = TypeVar("T")


class Caller:
    """Sends calls to one server."""

    def __init__(
        self,
        url: str = "http://localhost:8000",
        token: Token | None = None,
        timeout: float = 30.0,
        *,
        retries: bool = True,
        verify: Verify = True,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        """Prepare a client of the server at `url`; nothing is sent yet.

        Args:
            url: The server's address, maybe with a path in front of `/api`.
            token: A token, or a function that returns one. It is called for another token before the last one expires,
                and when the server refuses it.
            timeout: Seconds for one call, with its repetitions.
            retries: Whether to repeat calls that failed for a reason that may pass.
            verify: False to accept every certificate, or the path of a file with certificates of authorities.
            transport: What sends the requests instead of a network connection, for tests.

        """
        self.url = check_url(url)
        self._session = Session(TokenSource(token), timeout, retries)
        self._http = httpx2.Client(**client_options(self.url, verify), transport=transport)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"

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

    def advance(self, flow: Flow[Any]) -> Deliver | Done:
        """Execute the commands of a flow up to its next item or its end."""
        answer: Any = None
        fault: Exception | None = None
        while True:
            try:
                command = flow.send(answer) if fault is None else flow.throw(fault)
            except StopIteration as end:
                return Done(end.value)
            if isinstance(command, Deliver):
                return command
            answer = fault = None
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
        return None


class Stream(Generic[T]):
    """An iterator whose items come from the server; `close` ends it early, as does leaving a `with` block."""

    def __init__(self, caller: Caller, flow: Flow[None]) -> None:
        self._caller = caller
        self._flow = flow

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        outcome = self._caller.advance(self._flow)
        if isinstance(outcome, Done):
            raise StopIteration
        item: T = outcome.item
        return item

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End the iterator."""
        self._flow.close()
