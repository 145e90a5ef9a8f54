"""Executes flows in an asyncio task."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import httpx2

from ..rest import flows
from ..rest.calls import Call
from ..rest.flows import Begun, CallForToken, Deliver, Done, Flow, Send, Sleep
from ..rest.tokens import AsyncToken
from ..rest.transport import client_options, lost_requests, request_options
from ..stream.log_stream import OpenFeed, Take
from ..stream.mailbox import Mailbox
from .caller import BaseCaller

T = TypeVar("T")


class AsyncCaller(BaseCaller[AsyncToken, httpx2.AsyncBaseTransport]):
    """Sends calls to one server, in the event loop of the caller."""

    def _open_http(self, transport: httpx2.AsyncBaseTransport | None) -> None:
        self._http = httpx2.AsyncClient(**client_options(self.url, self._tls), transport=transport)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _call(self, call: Call[T]) -> T:
        return await self._run(flows.perform(self._session, call))

    async def _run(self, flow: Flow[T]) -> T:
        outcome = await self.advance(flow)
        assert isinstance(outcome, Done)
        result: T = outcome.result
        return result

    def _stream(self, flow: Flow[None], *, has_begin: bool = False) -> AsyncStream[Any]:
        return AsyncStream(self, flow, has_begin=has_begin)

    async def advance(self, flow: Flow[Any]) -> Deliver | Begun | Done:
        """Execute the commands of a flow up to its next item or its end."""
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
            try:
                answer = await self._execute(command)
            except Exception as error:
                fault = error

    async def _execute(self, command: Any) -> Any:
        match command:
            case Send():
                with lost_requests(self.url):
                    return await self._http.request(**request_options(command))
            case Sleep():
                await asyncio.sleep(command.seconds)
            case CallForToken():
                return await _call_function(command.function)
            case OpenFeed():
                feed = self._make_feed(LoopMailbox(asyncio.get_running_loop()), self._token_for_connections(), 0.0)
                feed.open(command.instance, command.since, live=command.live)
                return feed
            case Take():
                mailbox = command.feed.mailbox
                assert isinstance(mailbox, LoopMailbox)
                await mailbox.wait(command.timeout)
                return command.feed.take()
        return None

    def _token_for_connections(self) -> str | Callable[[], str] | None:
        """Return the token, or a function that gets it from the event loop for a thread of the Socket.IO client."""
        tokens, loop = self._session.tokens, asyncio.get_running_loop()
        if tokens.function is None:
            return tokens.value
        function = tokens.function
        return lambda: asyncio.run_coroutine_threadsafe(_call_function(function), loop).result(self._session.timeout)


class AsyncStream(Generic[T]):
    """An asynchronous iterator whose items come from the server.

    `aclose` ends it early, as does leaving an `async with` block. Entering the block finds the position from which on
    events belong to the stream; without a block, the first step of the iteration does.
    """

    def __init__(self, caller: AsyncCaller, flow: Flow[None], *, has_begin: bool) -> None:
        self._caller = caller
        self._flow = flow
        self._has_begin = has_begin

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        outcome = await self._caller.advance(self._flow)
        while isinstance(outcome, Begun):
            outcome = await self._caller.advance(self._flow)
        if isinstance(outcome, Done):
            raise StopAsyncIteration
        item: T = outcome.item
        return item

    async def __aenter__(self) -> Self:
        if self._has_begin:
            await self._caller.advance(self._flow)
            self._has_begin = False
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End the iterator."""
        self._flow.close()


class LoopMailbox(Mailbox):
    """A mailbox whose reader waits in an event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._arrived = asyncio.Event()
        super().__init__(self._wake)

    async def wait(self, timeout: float) -> None:
        """Wait until there is an item, at most `timeout` seconds."""
        self._arrived.clear()
        if not self.is_empty:
            return
        with suppress(TimeoutError):
            await asyncio.wait_for(self._arrived.wait(), timeout)

    def _wake(self) -> None:
        # The loop may have ended without the end of its streams.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._arrived.set)


async def _call_function(function: Callable[[], Any]) -> Any:
    """Call a token function: in a thread, since it may take a while; an asynchronous one in the event loop."""
    if inspect.iscoroutinefunction(function):
        return await function()
    token = await asyncio.to_thread(function)
    return await token if inspect.isawaitable(token) else token
