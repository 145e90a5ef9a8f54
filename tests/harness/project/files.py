"""The folder of a new user: a Flask application and an agent of their own, and programs that use the clients."""

from __future__ import annotations

from pathlib import Path

#: An application of the user's own, which has nothing to do with Swallowtail. None of its processes may import it.
IMPORTED = "app.py of the folder was imported"
APP = f"""
import sys

from flask import Flask

print({IMPORTED!r}, file=sys.stderr)

app = Flask(__name__)


@app.get("/")
def index() -> str:
    return "the user's own page"
"""

AGENTS = """
from pydantic import BaseModel

from swallowtail import Context, agent


class Letter(BaseModel):
    to: str


@agent(kind="greeting", title="Greeting", input=Letter)
def greet(ctx: Context, task_input: Letter) -> dict[str, str]:
    draft = ctx.step("draft", lambda: f"Dear {task_input.to}", agent="Writer", action="write", progress=50)
    return ctx.step("sign", lambda: {"letter": draft + ", yours"}, agent="Secretary", action="sign", progress=100)
"""

PYTHON_CLIENT = """
import sys

from swallowtail.client import Client

with Client(sys.argv[1]) as client:
    submission = client.submit("greeting", {"to": sys.argv[2]}, instance="demo")
    for event in client.watch("demo", task=submission.task.id):
        print(event.data.get("action", "task"), event.data.get("status", "progress"))
    print(client.wait(submission.task.id).result["letter"])
"""

JAVASCRIPT_CLIENT = """
import { Client } from "swallowtail-client";

const [url, to] = process.argv.slice(2);
const client = new Client(url);
const { task } = await client.submit("greeting", { to }, { instance: "demo" });
for await (const event of client.watch("demo", { task: task.id })) {
  console.log(event.data.action ?? "task", event.data.status ?? "progress");
}
console.log((await client.wait(task.id)).result.letter);
process.exit(0);
"""

#: What both clients print of one greeting, before its letter.
EVENTS = [
    "task SUBMITTED",
    "task QUEUED",
    "task IN_PROGRESS",
    "write in_progress",
    "write completed",
    "task progress",
    "sign in_progress",
    "sign completed",
    "task progress",
    "task COMPLETED",
]


def write_files(directory: Path) -> None:
    """Write the files of the project."""
    files = {
        "app.py": APP,
        "agents.py": AGENTS,
        "submit.py": PYTHON_CLIENT,
        "submit.mjs": JAVASCRIPT_CLIENT,
        "package.json": '{"type": "module", "private": true}',
    }
    for name, content in files.items():
        (directory / name).write_text(content, encoding="utf-8")
