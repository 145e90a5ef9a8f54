"""The `echo` agent: returns its input after two steps, to try a deployment from end to end."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from swallowtail.context import Context
from swallowtail.workers.registry.declaration import agent


class EchoInput(BaseModel):
    """The content to return."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"message": "Hello, Swallowtail"}]})

    message: str = Field(
        title="Message",
        min_length=1,
        max_length=10_000,
        description="Any text; it comes back unchanged.",
        examples=["Hello, Swallowtail"],
        json_schema_extra={"x-widget": "textarea"},
    )
    data: dict[str, JsonValue] | None = Field(None, title="Data", description="Any JSON object; it comes back too.")


@agent(kind="echo", title="Echo", input=EchoInput, version="1")
def run(ctx: Context, task_input: EchoInput) -> Any:
    """Returns its input. Use it to check that tasks are submitted, run and delivered."""
    content = ctx.step(
        "listen", listen, task_input, agent="Echo", action="listen", progress=50, message="Received the message"
    )
    return ctx.step("repeat", repeat, content, agent="Echo", action="repeat", progress=100, message="Repeated it")


def listen(task_input: EchoInput) -> dict[str, JsonValue]:
    """Return the input as plain JSON, without fields that were left out."""
    return task_input.model_dump(mode="json", exclude_none=True)


def repeat(content: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Return it again."""
    return content
