"""The token of the Python client: shown, renewed, and never written anywhere."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest

from swallowtail.client import AsyncClient, Client, Unauthenticated
from tests.clients.rest.fake_server import TASK, FakeRest, problem, reply


def make_jwt(name: str, expires_in: float) -> str:
    claims = base64.urlsafe_b64encode(json.dumps({"exp": time.time() + expires_in, "n": name}).encode())
    return f"head.{claims.decode().rstrip('=')}.{name}"


def shown(rest: FakeRest) -> list[str | None]:
    return [request.headers.get("Authorization") for request in rest.requests]


def source(*tokens: str) -> tuple[Callable[[], str], list[str]]:
    """Return a function that returns one token after another, and the list of those that it returned."""
    rest: Iterator[str] = iter(tokens)
    returned: list[str] = []

    def get_token() -> str:
        returned.append(next(rest))
        return returned[-1]

    return get_token, returned


def ask(rest: FakeRest, token: Any, times: int = 2) -> None:
    with Client("http://server", token, transport=rest.transport) as client:
        for _ in range(times):
            client.get("t")


def test_a_text_is_shown_with_every_request() -> None:
    rest = FakeRest(reply(TASK))
    ask(rest, "swt_1")
    ask(rest, None, times=1)
    assert shown(rest) == ["Bearer swt_1", "Bearer swt_1", None]


def test_a_function_is_called_once_for_many_requests() -> None:
    rest, (get_token, returned) = FakeRest(reply(TASK)), source("a", "b")
    ask(rest, get_token, times=3)
    assert (shown(rest), returned) == (["Bearer a"] * 3, ["a"])


def test_a_function_is_called_again_before_a_token_expires() -> None:
    first, second = make_jwt("first", 10), make_jwt("second", 1000)
    rest, (get_token, _) = FakeRest(reply(TASK)), source(first, second, "never")
    ask(rest, get_token, times=3)
    assert shown(rest) == [f"Bearer {first}", f"Bearer {second}", f"Bearer {second}"]


def test_a_function_is_called_again_for_a_refused_token() -> None:
    rest, (get_token, _) = FakeRest(problem(401, "unauthenticated"), reply(TASK)), source("old", "new")
    ask(rest, get_token, times=1)
    assert shown(rest) == ["Bearer old", "Bearer new"]


def test_a_token_that_is_refused_twice_is_an_error() -> None:
    rest, (get_token, returned) = FakeRest(problem(401, "unauthenticated")), source("a", "b", "c")
    with pytest.raises(Unauthenticated):
        ask(rest, get_token)
    assert returned == ["a", "b"]


def test_a_text_that_is_refused_is_an_error_at_once() -> None:
    rest = FakeRest(problem(401, "unauthenticated"))
    with pytest.raises(Unauthenticated):
        ask(rest, "old")
    assert len(rest.requests) == 1


def test_an_error_of_the_function_reaches_the_caller() -> None:
    def get_token() -> str:
        raise RuntimeError("the vault is closed")

    with pytest.raises(RuntimeError, match="the vault is closed"):
        ask(FakeRest(reply(TASK)), get_token)


def test_the_asyncio_client_takes_functions_of_both_kinds() -> None:
    async def get_token() -> str:
        await asyncio.sleep(0)
        return "from a coroutine"

    async def ask_both() -> None:
        for token in (get_token, lambda: "from a function"):
            async with AsyncClient("http://server", token, transport=rest.transport) as client:
                await client.get("t")

    rest = FakeRest(reply(TASK))
    asyncio.run(ask_both())
    assert shown(rest) == ["Bearer from a coroutine", "Bearer from a function"]


@pytest.mark.parametrize("token", ["", " ", "with\nnewline", "wíth", 5])
def test_what_is_no_token_is_refused_and_not_repeated(token: Any) -> None:
    for made in (lambda: Client("http://server", token), lambda: ask(FakeRest(reply(TASK)), lambda: token)):
        with pytest.raises(ValueError, match="the token is not a text") as refusal:
            made()
        assert "newline" not in str(refusal.value)


def test_tokens_are_neither_shown_nor_logged(caplog: pytest.LogCaptureFixture) -> None:
    secret = "swt_the_secret"
    caplog.set_level(logging.DEBUG)
    rest = FakeRest(problem(401, "unauthenticated"))
    with Client("http://server", secret, transport=rest.transport) as client:
        with pytest.raises(Unauthenticated) as raised:
            client.get("t")
        texts = [repr(client), repr(client._session), str(raised.value), repr(raised.value), caplog.text]
    lost = FakeRest(httpx2.ReadError("lost"))
    with Client("http://server", lambda: secret, retries=False, transport=lost.transport) as client:
        with pytest.raises(Exception, match="lost") as failed:
            client.get("t")
        texts += [repr(client), repr(client._session), repr(failed.value), caplog.text]
    assert not [text for text in texts if secret in text]
