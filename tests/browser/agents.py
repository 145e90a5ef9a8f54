"""Agents for the page tests: one streams text and then waits in a step, one fails with a chosen message.

Loaded by `SWALLOWTAIL_AGENTS=tests.harness.tasks.agents,tests.browser.agents`.
"""

from __future__ import annotations

import time
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from swallowtail.context import Context
from swallowtail.workers.registry.declaration import agent
from swallowtail.workers.run.outcomes import PermanentError

NAP = 0.02


class WriterInput(BaseModel):
    """The text to stream, and the file that ends the step."""

    model_config = ConfigDict(extra="forbid")

    pieces: list[str] = Field(min_length=1)
    path: str


@agent(kind="writer", title="Writer", input=WriterInput)
def writer(ctx: Context, task_input: WriterInput) -> str:
    """Streams its pieces from the start in each attempt, and ends when a file appears."""
    return str(ctx.step("write", write, ctx, task_input, agent="Writer", action="write"))


def write(ctx: Context, task_input: WriterInput) -> str:
    """Stream, then wait; return the whole text."""
    for piece in task_input.pieces:
        ctx.text(piece)
    while not Path(task_input.path).exists():
        ctx.check()
        time.sleep(NAP)
    return "".join(task_input.pieces)


class GrumblerInput(BaseModel):
    """The error message."""

    model_config = ConfigDict(extra="forbid")

    words: str


@agent(kind="grumbler", title="Grumbler", input=GrumblerInput)
def grumbler(ctx: Context, task_input: GrumblerInput) -> None:
    """Fails with the message of its input."""
    ctx.step("grumble", grumble, task_input.words, agent="Grumbler", action="grumble")


def grumble(words: str) -> None:
    """Fail."""
    raise PermanentError(words, code="grumble")


class ParrotInput(BaseModel):
    """The text to report, and the file that ends the step."""

    model_config = ConfigDict(extra="forbid")

    words: str
    path: str


@agent(kind="parrot", title="Parrot", input=ParrotInput)
def parrot(ctx: Context, task_input: ParrotInput) -> dict[str, object]:
    """Reports its text in every place where an agent can report one."""
    line = " ".join(task_input.words.split())[:100]
    repeat = WriterInput(pieces=[task_input.words], path=task_input.path)
    # The text is not a valid step key.
    name = "".join(letter for letter in line if letter.isprintable())
    said = ctx.step(name, talk, ctx, repeat, agent=name, action=name, message=task_input.words)
    return {
        task_input.words: said,
        "list": [task_input.words],
        "deep": {task_input.words: {task_input.words: task_input.words}},
    }


def talk(ctx: Context, task_input: WriterInput) -> str:
    """Report the text repeatedly until the file appears; return the text."""
    while not Path(task_input.path).exists():
        ctx.progress(10, task_input.pieces[0])
        ctx.text(task_input.pieces[0])
        ctx.check()
        time.sleep(NAP * 20)
    return task_input.pieces[0]


class Vault(BaseModel):
    """An object with a secret field."""

    model_config = ConfigDict(extra="forbid")

    label: str = ""
    code: SecretStr


class KeeperInput(BaseModel):
    """Secrets, marked in every supported way."""

    model_config = ConfigDict(extra="forbid")

    note: str
    phrase: SecretStr
    spare: SecretStr | None = None
    usual: SecretStr = SecretStr("by default")
    marked: str = Field("", json_schema_extra={"x-secret": True})
    written: str = Field("", max_length=5000, json_schema_extra={"writeOnly": True})
    number: int | None = Field(None, json_schema_extra={"x-secret": True})
    many: list[SecretStr] = Field(default_factory=list)
    vault: Vault | None = None
    vaults: list[Vault] = Field(default_factory=list)


@agent(kind="keeper", title="Keeper", input=KeeperInput)
def keeper(ctx: Context, task_input: KeeperInput) -> dict[str, object]:
    """Returns the lengths of its secrets."""
    texts = [
        task_input.phrase,
        task_input.usual,
        *task_input.many,
        *([task_input.vault.code] if task_input.vault else []),
    ]
    return {
        "lengths": [len(text.get_secret_value()) for text in texts],
        "others": [
            task_input.spare is None,
            len(task_input.marked),
            len(task_input.written),
            (task_input.number or 0) > 0,
        ],
        "vaults": [len(one.code.get_secret_value()) for one in task_input.vaults],
    }
