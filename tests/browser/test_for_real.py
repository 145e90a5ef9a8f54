"""Follows "Run it for real" in the README: two web processes, two workers and beat on one machine, and a browser."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.signed_in_users import another_browser, sign_in
from tests.docs.blocks import read_commands
from tests.docs.console import FOR_REAL
from tests.harness.deployment import Deployment
from tests.harness.processes import WebProcess
from tests.harness.program import ROOT, Program, clean_environment
from tests.harness.system.ports import free_port
from tests.harness.waiting import wait_until
from tests.identity.bench import PASSWORD

VENDOR = ROOT / "app/web/static/vendor/socket.io.min.js"
PAGE = """<!doctype html><title>elsewhere</title><p id="status">waiting</p><script src="/io.js"></script><script>
const socket = io("SERVER", { transports: ["websocket"], upgrade: false, auth: { token: "TOKEN" } });
const show = (text) => { document.getElementById("status").textContent = text; };
socket.on("connect_error", (fault) => show(fault.message));
socket.on("connected", () => socket.emit("subscribe_instance", { instance_id: "demo" }));
socket.on("task_update", ({ data }) => { if (data.status) show(data.status); });
</script>"""


class Site:
    """A web server of another origin with one page that connects to Swallowtail."""

    def __init__(self) -> None:
        self.page = ""
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = VENDOR.read_bytes() if self.path == "/io.js" else site.page.encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/javascript" if self.path == "/io.js" else "text/html")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Log nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.origin = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    yield site
    site.close()


class Reader:
    """Runs the commands of the README in one directory; its exports apply to all later commands."""

    def __init__(self, deployment: Deployment, urls: dict[str, str]) -> None:
        everything = read_commands(ROOT / "README.md")
        self.commands = everything[everything.index(FOR_REAL) + 1 :]
        self._deployment = deployment
        own = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "SWALLOWTAIL_QUEUE": deployment.root.name}
        self.env = clean_environment({**own, "SWALLOWTAIL_VAR_DIR": str(deployment.root)})
        for command in [command for command in self.commands if command.startswith("export ")]:
            for placeholder, options in urls.items():
                command = command.replace(placeholder, options)
            assert "…" not in command, "every placeholder has a value"
            body = subprocess.run(
                ["bash", "-ec", f"{command}; env -0"], env=self.env, capture_output=True, text=True, check=True
            )
            self.env = dict(line.split("=", 1) for line in body.stdout.split("\0") if line)

    def run(self, beginning: str, typed: str = f"{PASSWORD}\n") -> str:
        """Run the command with this prefix to its end, with what its reader types; return its output."""
        command = ["bash", "-ec", self._find(beginning)]
        done = subprocess.run(
            command, env=self.env, cwd=self._deployment.root, input=typed, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return done.stdout

    def start(self, name: str, beginning: str, **more: str) -> Program:
        """Start the command with this prefix as a background process."""
        log = self._deployment.root / f"{name}.log"
        command = ["bash", "-ec", f"exec {self._find(beginning)}"]
        return Program(name, command, log=log, env={**self.env, **more}, cwd=self._deployment.root).start()

    def _find(self, beginning: str) -> str:
        (result,) = [command for command in self.commands if command.startswith(beginning)]
        return result


def is_ready(port: int) -> bool:
    """Return whether a web process is ready."""
    web = WebProcess("asked", Path("/nowhere"), {}, port=port)
    return web.status("/readyz") == 200


@pytest.mark.long
def test_the_readme_leads_to_a_deployment_that_works(
    page: Page, postgres_url: str, rabbit_url: str, site: Site
) -> None:
    with Deployment(tcp=True) as deployment:
        urls = {"postgresql://…": postgres_url, "redis://…": deployment.redis.url, "amqp://…": rabbit_url}
        reader = Reader(deployment, {**urls, "https://pages.example.org": site.origin})
        for command in ("swallowtail release", "swallowtail users create"):
            reader.run(command)
        ports = [free_port(), free_port()]
        programs = [reader.start(f"w{port}", "swallowtail web", SWALLOWTAIL_PORT=str(port)) for port in ports]
        workers = [reader.start(f"worker{number}", "swallowtail worker") for number in (1, 2)]
        programs += [*workers, reader.start("beat", "swallowtail beat")]
        try:
            for port in ports:
                wait_until(partial(is_ready, port), f"the web process at {port} is ready")
            for worker in workers:
                worker.wait_for_log(" ready.")
            use(page, reader, ports, site)
            names = [re.findall(r"celery\S*@\S+ ready", worker.log_text())[0] for worker in workers]
            assert len(set(names)) == 2
            assert [program.name for program in programs if not program.is_running] == []
        finally:
            for program in programs:
                program.kill()


def use(page: Page, reader: Reader, ports: list[int], site: Site) -> None:
    """Sign in at one web process and submit at the other; a page of another origin receives the events too."""
    first, other = (f"http://127.0.0.1:{port}" for port in ports)
    page.goto(f"{first}/instances/demo")
    sign_in(page, "ann")
    page.wait_for_url(re.compile("/instances/demo$"))
    expect(page.locator("#connection")).to_have_text("Live")
    token = read_token(reader, first)
    site.page = PAGE.replace("SERVER", other).replace("TOKEN", token)
    with another_browser(page) as (elsewhere, _):
        elsewhere.goto(site.origin)
        page.goto(f"{first}/instances/demo/new?kind=echo")
        page.get_by_label("Message").fill("Hello")
        page.get_by_role("button", name="Submit task").click()
        expect(page.locator("#status")).to_have_text("Completed")
        expect(elsewhere.locator("#status")).to_have_text("COMPLETED")


def read_token(reader: Reader, server: str) -> str:
    """Sign in as the README says, and create a token for the page of another origin, as docs/access.md describes."""
    reader.commands = [command.replace("https://agents.example.org", server) for command in reader.commands]
    reader.commands.append("swallowtail front-end-tokens create demo page")
    reader.env["SWALLOWTAIL_TOKEN_FILE"] = f"{reader.env['SWALLOWTAIL_VAR_DIR']}/token"
    reader.run("swallowtail login", typed=f"ann\n{PASSWORD}\n")
    match = re.search(r"\S+\.\S+\.\S+", reader.run("swallowtail front-end-tokens create"))
    assert match is not None
    return match[0]
