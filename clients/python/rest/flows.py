"""Sends calls, again if need be, without input and output: a flow yields commands, and a client executes them.

So the blocking client and the asyncio client share every decision: which token is shown, what is sent again, after
which pause, and how lists continue.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import ApiError, ConnectionFailed, TooFast, Unauthenticated, Unavailable, make_error
from . import calls
from .calls import Call
from .tokens import TokenSource

if TYPE_CHECKING:
    import httpx2

T = TypeVar("T")

#: Seconds: the first pause before a request is sent again, and the longest one that no server asked for.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0
_FOREIGN = "this is not an answer of Swallowtail"


@dataclass(frozen=True)
class Send:
    """Send a request; the answer is the response. Raises ConnectionFailed."""

    call: Call[Any]
    headers: Mapping[str, str]
    timeout: float


@dataclass(frozen=True)
class Sleep:
    """Pause."""

    seconds: float


@dataclass(frozen=True)
class CallForToken:
    """Call the token function; the answer is its result."""

    function: Callable[[], Any]


@dataclass(frozen=True)
class Deliver:
    """Pass an item to the caller of an iterator."""

    item: Any


@dataclass(frozen=True)
class Begun:
    """The position of a stream is known: what happens from now on is part of it."""


@dataclass(frozen=True)
class Done:
    """A flow has ended with a result."""

    result: Any


#: Yields commands, gets their answers, and returns T.
Flow = Generator[Any, Any, T]


class RequestLost(ConnectionFailed):
    """No answer came: `was_sent` says whether the server may have received the request."""

    def __init__(self, message: str, *, was_sent: bool, is_lasting: bool = False) -> None:
        """Prepare an error; a `is_lasting` one comes again whenever the request is sent."""
        super().__init__(message)
        self.was_sent = was_sent
        self.is_lasting = is_lasting


@dataclass
class Session:
    """What the requests of one client have in common."""

    tokens: TokenSource
    #: Seconds for one call, with its repetitions.
    timeout: float
    #: Whether requests are sent again after a failure that may pass.
    retries: bool = True
    #: A server has answered this client before.
    answered: bool = field(default=False)


def perform(session: Session, call: Call[T], deadline: float | None = None) -> Flow[T]:
    """Send a call until there is an answer, or an error that does not pass within the session's timeout."""
    limit = time.monotonic() + session.timeout
    limit = limit if deadline is None else min(limit, deadline)
    pause, is_renewed = _FIRST_PAUSE, False
    while True:
        headers = yield from _make_headers(session, call)
        try:
            response = yield Send(call, headers, max(limit - time.monotonic(), 0.001))
            session.answered = True
            return _parse(call, response)
        except Unauthenticated:
            if is_renewed or not session.tokens.discard():
                raise
            is_renewed = True
            continue
        except (ConnectionFailed, TooFast, Unavailable) as fault:
            seconds = _choose_pause(fault, pause)
            if not _may_repeat(session, call, fault) or time.monotonic() + seconds >= limit:
                raise
        yield Sleep(seconds)
        pause = min(2 * pause, _LONGEST_PAUSE)


def deliver_pages(
    session: Session, path: str, params: Mapping[str, Any], read: Callable[[Any], Any], most: int | None = None
) -> Flow[None]:
    """Deliver the items of all pages of a list, at most `most`."""
    params = dict(params)
    count = 0
    while most is None or count < most:
        items, cursor = yield from perform(session, calls.read_page(path, params, read))
        for item in items if most is None else items[: most - count]:
            count += 1
            yield Deliver(item)
        if cursor is None:
            return
        params["cursor"] = cursor


def deliver_events(session: Session, instance: str, since: int, epoch: str | None = None) -> Flow[None]:
    """Deliver the stored events after number `since`."""
    position = {"since": since, "epoch": epoch}
    while True:
        page = yield from perform(session, calls.read_events(instance, position))
        for event in page.events:
            yield Deliver(event)
        # The log may end in the meantime and begin again: the epoch of the first page stays.
        position = {"since": page.next_since, "epoch": page.epoch}
        if page.is_last:
            return


def read_json(response: httpx2.Response) -> Any:
    """Return the JSON of an answer; a text for other texts, None without a body. Raises ApiError."""
    media_type = response.headers.get("Content-Type", "").partition(";")[0].strip()
    is_json = media_type == "application/json" or media_type.endswith("+json")
    try:
        content = response.json() if is_json else None
    except ValueError:
        content = None
    if response.is_success:
        if content is not None or response.content in (b"", b"null"):
            return content
        if media_type in ("", "text/html") or is_json:
            raise ApiError("not_json", _FOREIGN, status=response.status_code)
        return response.text
    problem = content if isinstance(content, dict) else {}
    raise make_error(response.status_code, problem, _read_retry_after(response))


def _parse(call: Call[T], response: httpx2.Response) -> T:
    raw = read_json(response)
    try:
        return call.parse(raw, response.status_code)
    except (AttributeError, KeyError, TypeError, ValueError) as fault:
        raise ApiError("unknown_answer", _FOREIGN, status=response.status_code) from fault


def _make_headers(session: Session, call: Call[Any]) -> Flow[Mapping[str, str]]:
    tokens = session.tokens
    token = tokens.value
    if tokens.is_due:
        token = tokens.store((yield CallForToken(tokens.function)) if tokens.function else "")
    return {**call.headers, "Authorization": f"Bearer {token}"} if token else call.headers


def _may_repeat(session: Session, call: Call[Any], fault: Exception) -> bool:
    if not session.retries:
        return False
    if isinstance(fault, TooFast):
        return fault.retry_after is not None
    if isinstance(fault, RequestLost) and not fault.was_sent:
        return not fault.is_lasting and (call.patient or session.answered)
    return call.repeatable and getattr(fault, "code", "") != "not_set_up"


def _choose_pause(fault: Exception, pause: float) -> float:
    asked = fault.retry_after if isinstance(fault, ApiError) else None
    return pause * random.uniform(0.75, 1.25) if asked is None else asked


def _read_retry_after(response: httpx2.Response) -> float | None:
    value = response.headers.get("Retry-After", "")
    return float(value) if value.isascii() and value.isdigit() else None
