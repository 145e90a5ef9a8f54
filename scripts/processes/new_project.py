"""Creates a project: a folder with one agent, its test, a Procfile and a `.env`, for `swallowtail init`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from swallowtail.scripts.cli.exit_codes import ExitCode, print_error

AGENTS = '''"""The agents of this project. `swallowtail dev` loads them again when a file of this folder changes."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from swallowtail import Context, agent


class GreetingInput(BaseModel):
    """Whom to greet."""

    name: str = Field("world", title="Name", min_length=1, max_length=100)


@agent(kind="greeting", title="Greeting", input=GreetingInput)
def greet(ctx: Context, task_input: GreetingInput) -> dict[str, Any]:
    """Writes a greeting and signs it. Each step runs once, and its output is kept when the worker is killed."""
    draft = ctx.step("draft", write, task_input.name, agent="Writer", action="write", progress=50)
    return ctx.step("sign", sign, draft, agent="Secretary", action="sign", progress=100)


def write(name: str) -> str:
    """Return the text of a greeting."""
    return f"Hello {name}, welcome."


def sign(draft: str) -> dict[str, Any]:
    """Return the signed greeting, the result of the task."""
    return {"greeting": f"{draft} Yours, Swallowtail"}
'''
TEST = '''"""Runs the agent without servers: `python -m pytest`."""

from __future__ import annotations

from agents import greet
from swallowtail.testing import run_agent


def test_a_greeting_is_written_and_signed() -> None:
    run = run_agent(greet, {"name": "Ann"})
    assert run.output == {"greeting": "Hello Ann, welcome. Yours, Swallowtail"}
    assert run.summary == [
        ("draft", "Writer", "write", "completed"),
        ("sign", "Secretary", "sign", "completed"),
    ]
'''
PROCFILE = """release: swallowtail release
redis: swallowtail redis
web: swallowtail web
worker: swallowtail worker
beat: swallowtail beat
"""
ENV = """# Settings of this project; variables of the environment win over this file.
# Everything runs on this machine until these are set:
# SWALLOWTAIL_DATABASE_URL=postgresql://user:secret@db.example/swallowtail
# SWALLOWTAIL_REDIS_URL=redis://:secret@redis.example:6379/0
# SWALLOWTAIL_SECRET_KEY=
# SWALLOWTAIL_PORT=8000
"""
FILES = {
    "agents.py": AGENTS,
    "test_agents.py": TEST,
    "Procfile": PROCFILE,
    ".env": ENV,
    ".gitignore": "var/\n.env\n__pycache__/\n",
}
Folder = Annotated[Path, typer.Argument(help="The folder, created if it is missing.")]


def init(folder: Folder = Path()) -> None:
    """Create a project with one agent, its test, a Procfile and a `.env`. Existing files are never replaced.

    Example: swallowtail init my-agents
    """
    existing = [str(folder / name) for name in FILES if (folder / name).exists()]
    if existing:
        print_error(
            f"{', '.join(existing)} exist{'s' * (len(existing) == 1)}, so nothing was written; name another folder"
        )
        raise typer.Exit(ExitCode.CONFLICT)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in FILES.items():
            with (folder / name).open("x", encoding="utf-8") as file:
                file.write(text)
    except OSError as fault:
        print_error(f"{fault.filename} cannot be written: {fault.strerror}; name another folder")
        raise typer.Exit(ExitCode.BAD_INPUT) from None
    print(f"Created in {folder.absolute()}: {', '.join(FILES)}\n\nNext:")
    if folder.absolute() != Path.cwd():
        print(f"  cd {folder}")
    print(
        "  swallowtail dev            # everything, with the agents loaded again when they change\n"
        "  swallowtail enqueue greeting --instance demo --set name=Ann --follow    # in a second terminal\n"
        "  python -m pytest           # the agent's test; pip install pytest"
    )
