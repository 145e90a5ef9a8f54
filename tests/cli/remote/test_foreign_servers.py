"""Another program at the address of the server: one line says so for every kind of answer, and it gets no password."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from swallowtail.scripts.cli.remote import open_client
from tests.cli.command_line import CommandLine

TASK = "0f8fad5b-d9cb-469f-a165-70867728950e"
COMMANDS = (
    "list demo",
    "enqueue echo -i demo -s message=a",
    "watch demo",
    f"show {TASK}",
    "agents",
    "agents echo",
    "whoami",
    "tokens",
    "instances",
    "instances create A",
    "instances export demo",
    "policy show demo",
    "members list demo",
    "members set demo ann viewer",
    "schedule list demo",
    f"schedule pause {TASK}",
    "audit list",
    "login --user ann",
)


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Serve on a free port; yield the URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def answering(status: int, media_type: str, body: bytes, received: list[bytes]) -> type[BaseHTTPRequestHandler]:
    """Return a handler that answers every request alike, and keeps what it receives."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            received.append(self.rfile.read(int(self.headers.get("Content-Length", 0))))
            self.send_response(status)
            self.send_header("Content-Type", media_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815 # names of the base class

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 # as in the base class
            """Log nothing."""

    return Handler


class QuietFiles(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 # as in the base class
        """Log nothing."""


def check_commands(cli: CommandLine, url: str) -> None:
    for command in COMMANDS:
        result = cli.run("--url", url, *command.split(), stdin="secret-password\n")
        assert (command, result.exit_code, result.stdout) == (command, 8, "")
        assert result.stderr.startswith(f"swallowtail: the program at {url} is not a Swallowtail server"), command
        assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("status", "media_type", "body"),
    [
        (200, "application/json", b'{"hello": "world"}'),
        (200, "application/json", b'{"items": [1]}'),
        (200, "application/json", b"[1, 2]"),
        (200, "application/json", b"null"),
        (200, "text/html", b"<h1>Welcome</h1>"),
        (200, "text/plain", b""),
        (302, "text/html", b""),
        (401, "text/html", b"<h1>Who are you?</h1>"),
        (403, "text/html", b"<h1>No</h1>"),
        (404, "application/json", b'{"detail": "Not Found"}'),
        (405, "text/html", b""),
        (422, "application/json", b'{"detail": [{"loc": ["query"]}]}'),
    ],
)
def test_another_program_is_one_line_that_says_so(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch, status: int, media_type: str, body: bytes
) -> None:
    monkeypatch.setattr(open_client, "transport", None)
    received: list[bytes] = []
    with serving(answering(status, media_type, body, received)) as url:
        check_commands(cli, url)
    assert received
    assert not any(b"secret-password" in content for content in received)


def test_a_server_of_files_is_one_line_that_says_so(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_client, "transport", None)
    with serving(QuietFiles) as url:
        check_commands(cli, url)


def test_a_wrong_path_of_the_url_is_one_line_that_says_so(cli: CommandLine) -> None:
    result = cli.run("--url", "http://127.0.0.1:8000/below", "list", "demo")
    assert (result.exit_code, result.stdout) == (8, "")
    assert result.stderr == (
        "swallowtail: there is no Swallowtail server at the path of http://127.0.0.1:8000/below; check --url\n"
    )
