"""Text that comes from threads is of the step that they were started in."""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from swallowtail.app.core.events import step_id
from swallowtail.workers.run import threads
from swallowtail.workers.run.context import Context
from tests.workers.conftest import Inside


@pytest.fixture(autouse=True)
def carried() -> Iterator[None]:
    """As in every pool child."""
    threads.carry_context()
    yield
    threads.leave_alone()


@pytest.fixture
def ctx(inside: Inside) -> Context:
    return inside.context(inside.claim(inside.submit()))


def told(inside: Inside, ctx: Context, *keys: str) -> dict[str, str]:
    """All text of each step, put together by its offsets."""
    whole: dict[str, list[str]] = defaultdict(list)
    for piece in inside.text:
        assert piece.offset == sum(map(len, whole[piece.step_id]))
        whole[piece.step_id].append(piece.text)
    return {key: "".join(whole[step_id(ctx.task_id, key)]) for key in keys}


def test_steps_in_threads_keep_their_text_apart(inside: Inside, ctx: Context) -> None:
    together = threading.Barrier(2)

    def write(letter: str) -> str:
        together.wait()
        for _ in range(40):
            ctx.text(letter)
        together.wait()
        return letter * 40

    def step(letter: str) -> None:
        ctx.step(letter, write, letter)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(step, "ab"))
    assert told(inside, ctx, "a", "b") == {"a": "a" * 40, "b": "b" * 40}


def test_a_thread_that_outlives_its_step_writes_into_no_other(inside: Inside, ctx: Context) -> None:
    go_on = threading.Event()
    refused = []

    def write() -> None:
        ctx.text("early")
        go_on.wait()
        try:
            ctx.text("late")
        except RuntimeError as over:
            refused.append(str(over))

    def first() -> threading.Thread:
        thread = threading.Thread(target=write)
        thread.start()
        return thread

    kept: list[threading.Thread] = []
    ctx.step("first", lambda: kept.append(first()))

    def second() -> None:
        go_on.set()
        kept[0].join()
        ctx.text("own")

    ctx.step("second", second)
    assert refused == ["the step of this text is over"]
    assert told(inside, ctx, "second") == {"second": "own"}


def test_a_pool_that_is_used_by_two_steps_writes_into_each(inside: Inside, ctx: Context) -> None:
    with ThreadPoolExecutor(1) as pool:
        for key in ("first", "second"):
            ctx.step(key, lambda key=key: pool.submit(ctx.text, key).result())
    assert told(inside, ctx, "first", "second") == {"first": "first", "second": "second"}


def test_a_coroutine_in_another_thread_writes_into_its_step(inside: Inside, ctx: Context) -> None:
    async def work() -> None:
        await asyncio.gather(*(asyncio.to_thread(ctx.text, "x") for _ in range(20)))

    ctx.step("first", lambda: asyncio.run(work()))
    assert told(inside, ctx, "first") == {"first": "x" * 20}


def test_the_inner_of_two_steps_has_the_text_and_then_the_outer_again(inside: Inside, ctx: Context) -> None:
    def outer() -> None:
        ctx.text("before ")
        ctx.step("inner", ctx.text, "inside")
        ctx.text("after")

    ctx.step("outer", outer)
    assert told(inside, ctx, "outer", "inner") == {"outer": "before after", "inner": "inside"}


def test_a_thread_of_unknown_origin_writes_where_there_is_no_doubt(inside: Inside, ctx: Context) -> None:
    threads.leave_alone()

    def elsewhere(text: str) -> None:
        thread = threading.Thread(target=ctx.text, args=[text])
        thread.start()
        thread.join()

    ctx.step("outer", lambda: ctx.step("inner", elsewhere, "x"))
    assert told(inside, ctx, "inner") == {"inner": "x"}
