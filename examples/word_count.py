"""An example agent: counts the words of a text. Try it with SWALLOWTAIL_AGENTS=examples.word_count."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from swallowtail import Context, PermanentError, agent


class WordCountInput(BaseModel):
    """What to count."""

    model_config = ConfigDict(extra="forbid")

    text: str = Field(title="Text", min_length=1, max_length=50_000, json_schema_extra={"x-widget": "textarea"})
    shortest: int = Field(1, title="Shortest word", ge=1, le=50, description="Words with fewer letters do not count.")


@agent(kind="word_count", title="Word count", input=WordCountInput, soft_time_limit=60, hard_time_limit=90)
def run(ctx: Context, task_input: WordCountInput) -> Any:
    """Counts the words of a text, paragraph by paragraph."""
    paragraphs = ctx.step("split", split, task_input.text, agent="Reader", action="split", progress=10)
    counts = [
        ctx.step(
            f"count:{number}",
            count,
            paragraph,
            task_input.shortest,
            agent="Counter",
            action="count",
            progress=10 + 90 * number / len(paragraphs),
            message=f"Counted paragraph {number} of {len(paragraphs)}",
        )
        for number, paragraph in enumerate(paragraphs, start=1)
    ]
    return {"words": sum(counts), "paragraphs": counts}


def split(text: str) -> list[str]:
    """The paragraphs of a text; lists, numbers and text are outputs as good as dicts."""
    paragraphs = [paragraph for paragraph in text.split("\n\n") if paragraph.strip()]
    if not paragraphs:
        raise PermanentError("input.text: there is nothing to count", code="empty_text")
    return paragraphs


def count(paragraph: str, shortest: int) -> int:
    """How many words are long enough."""
    return sum(len(word) >= shortest for word in paragraph.split())
