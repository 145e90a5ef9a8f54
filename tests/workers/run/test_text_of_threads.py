"""Text that a thread streams belongs to the step that started the thread."""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from swallowtail.app.core.events import step_id
from swallowtail.context import Context
from swallowtail.workers.runtime import thread_context
from tests.workers.conftest import Harness


@pytest.fixture(autouse=True)
def carried() -> Iterator[None]:
    """Inherit contexts, as in every pool child."""
    thread_context.inherit_context()
    yield
    thread_context.restore()


@pytest.fixture
def ctx(harness: Harness) -> Context:
    return harness.context(harness.claim(harness.submit()))


def text_of(harness: Harness, ctx: Context, *keys: str) -> dict[str, str]:
    """Return the text of each step, joined by its offsets."""
    whole: dict[str, list[str]] = defaultdict(list)
    for piece in harness.text:
        assert piece.offset == sum(map(len, whole[piece.step_id]))
        whole[piece.step_id].append(piece.text)
    return {key: "".join(whole[step_id(ctx.task_id, key)]) for key in keys}


def test_steps_in_threads_keep_their_text_apart(harness: Harness, ctx: Context) -> None:
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
    assert text_of(harness, ctx, "a", "b") == {"a": "a" * 40, "b": "b" * 40}


def test_a_thread_that_outlives_its_step_writes_into_no_other(harness: Harness, ctx: Context) -> None:
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

    threads: list[threading.Thread] = []
    ctx.step("first", lambda: threads.append(first()))

    def second() -> None:
        go_on.set()
        threads[0].join()
        ctx.text("own")

    ctx.step("second", second)
    assert refused == ["the step of this text is over"]
    assert text_of(harness, ctx, "second") == {"second": "own"}


def test_a_pool_that_is_used_by_two_steps_writes_into_each(harness: Harness, ctx: Context) -> None:
    with ThreadPoolExecutor(1) as pool:
        for key in ("first", "second"):
            ctx.step(key, lambda key=key: pool.submit(ctx.text, key).result())
    assert text_of(harness, ctx, "first", "second") == {"first": "first", "second": "second"}


def test_a_coroutine_in_another_thread_writes_into_its_step(harness: Harness, ctx: Context) -> None:
    async def work() -> None:
        await asyncio.gather(*(asyncio.to_thread(ctx.text, "x") for _ in range(20)))

    ctx.step("first", lambda: asyncio.run(work()))
    assert text_of(harness, ctx, "first") == {"first": "x" * 20}


def test_the_inner_of_two_steps_has_the_text_and_then_the_outer_again(harness: Harness, ctx: Context) -> None:
    def outer() -> None:
        ctx.text("before ")
        ctx.step("inner", ctx.text, "inside")
        ctx.text("after")

    ctx.step("outer", outer)
    assert text_of(harness, ctx, "outer", "inner") == {"outer": "before after", "inner": "inside"}


def test_a_thread_without_context_writes_to_the_only_open_step(harness: Harness, ctx: Context) -> None:
    thread_context.restore()

    def elsewhere(text: str) -> None:
        thread = threading.Thread(target=ctx.text, args=[text])
        thread.start()
        thread.join()

    ctx.step("outer", lambda: ctx.step("inner", elsewhere, "x"))
    assert text_of(harness, ctx, "inner") == {"inner": "x"}
