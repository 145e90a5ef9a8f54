"""Live progress and streamed text of a context, on the real ledger."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from swallowtail.app.core.events import TextPiece, step_id
from swallowtail.signals import text_produced
from tests.workers.conftest import Harness
from tests.workers.run.test_context import fail, outcome_of


def test_progress_never_goes_back_within_an_attempt(harness: Harness) -> None:
    ctx = harness.context(harness.claim(harness.submit()))

    def work() -> None:
        ctx.progress(60, "Most of it")
        ctx.progress(50)

    ctx.step("make", work, progress=30)
    ctx.progress(200)
    outcome_of(ctx.step, "fail", fail, LookupError())
    shown = [event.data["progress"] for event in harness.events] + [state.data["progress"] for state in harness.live]
    assert [event.data["progress"] for event in harness.events][-4:] == [60, 60, 100, 100]
    assert max(shown) == 100
    assert harness.live[0].data["progress"] == 60


def test_live_progress_names_the_event_it_came_after(harness: Harness) -> None:
    ctx = harness.context(harness.claim(harness.submit()))
    ctx.step("make", lambda: ctx.progress(10, "A little"))
    (state,) = harness.live
    assert (state.base_seq, state.rev, state.attempt) == (4, 1, 1)
    assert state.data == {"progress": 10, "message": "A little", "timestamp": state.data["timestamp"]}


def test_text_is_counted_in_characters_from_the_start_of_the_step(harness: Harness) -> None:
    ctx = harness.context(harness.claim(harness.submit()))

    def stream() -> None:
        for piece in ("grüß", "\ud800", "!"):
            ctx.text(piece)

    ctx.step("first", stream)
    ctx.step("second", stream)
    streamed = [(text.step_id, text.rev, text.offset, text.text) for text in harness.text]
    expected = [(1, 0, "grüß"), (2, 4, harness.text[1].text), (3, 4 + len(harness.text[1].text), "!")]
    assert streamed == [(step_id(ctx.task_id, key), *line) for key in ("first", "second") for line in expected]


def test_text_outside_of_a_step_is_a_mistake(harness: Harness) -> None:
    ctx = harness.context(harness.claim(harness.submit()))
    with pytest.raises(RuntimeError, match="inside a step"):
        ctx.text("lost")


def test_a_secret_that_is_split_over_two_pieces_of_text_reaches_no_reader(harness: Harness) -> None:
    ctx = harness.context(harness.claim(harness.submit()))

    def stream() -> str:
        for piece in ("with gh", "p_a1B2a1B2a1B2", "a1B2a1B2a1B2 all", " is well, g"):
            ctx.text(piece)
        return "done"

    ctx.step("first", stream)
    shown = "with [redacted:token] all is well, g"
    assert "".join(text.text for text in harness.text) == shown
    for before, text in itertools.pairwise(harness.text):
        assert text.offset == before.offset + len(before.text)
    assert [text.rev for text in harness.text] == list(range(1, len(harness.text) + 1))


def test_progress_and_the_message_of_a_step_show_no_secret(harness: Harness) -> None:
    ctx = harness.context(harness.claim(harness.submit(task_input={"password": "open sesame"})))
    ctx.step("first", lambda: ctx.progress(10, "trying open sesame"), progress=20, message="open sesame it is")
    assert [state.data["message"] for state in harness.live] == ["trying [redacted:secret]"]
    assert "open sesame" not in repr(harness.events)


def test_a_long_text_is_streamed_in_pieces_of_bounded_length(make_harness: Callable[..., Harness]) -> None:
    harness = make_harness(inline_output_bytes=1024)
    pieces: list[TextPiece] = []

    def receive(sender: object, text: TextPiece) -> None:
        pieces.append(text)

    text_produced.connect(receive, weak=False)
    try:
        ctx = harness.context(harness.claim(harness.submit()))
        ctx.step("write", lambda: ctx.text("word " * 1000))
    finally:
        text_produced.disconnect(receive)
    assert "".join(piece.text for piece in pieces) == "word " * 1000
    assert [piece.offset for piece in pieces] == [1024 * place for place in range(5)]
    assert [piece.rev for piece in pieces] == [1, 2, 3, 4, 5]
