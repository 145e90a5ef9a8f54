"""A whole deployment in a directory of its own: database, Redis, and any number of processes."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from swallowtail.app.core.config.settings import Settings
from tests.harness.processes import BeatProcess, WebProcess, WorkerProcess
from tests.harness.program import Program, clean_environment, make_directory
from tests.harness.servers import RedisBinary, RedisServer
from tests.harness.settings import make_settings
from tests.harness.tasks.task_client import TaskClient
from tests.harness.waiting import PATIENCE

_templates: dict[str, Path] = {}


class Deployment(TaskClient):
    """One deployment. Everything in it is named, logged under `root` and ended by `close`.

    `env` goes to every process and to `settings`; names may leave out the `SWALLOWTAIL_` prefix and use lower case
    (`{"lease_seconds": 2}`). `database_url` replaces the SQLite file, `broker_url` the Redis broker. `tcp` puts Redis
    on a port.
    """

    def __init__(
        self,
        *,
        env: Mapping[str, object] | None = None,
        database_url: str | None = None,
        broker_url: str | None = None,
        redis_binary: RedisBinary = "wheel",
        tcp: bool = False,
    ) -> None:
        super().__init__()
        self.root = make_directory()
        self.redis = RedisServer(self.root, binary=redis_binary, tcp=tcp)
        urls = {
            "redis_url": self.redis.url,
            "database_url": database_url,
            "broker_url": broker_url,
        }
        # A broker may serve several deployments, so each has a queue of its own.
        own = {"var_dir": self.root, "queue": self.root.name, "auth": "open", "probe": "on"}
        self.env = variables({**own, **{k: v for k, v in urls.items() if v}, **(env or {})})
        self.webs: list[WebProcess] = []
        self.workers: list[WorkerProcess] = []
        self.beats: list[BeatProcess] = []

    def open(self) -> Self:
        """Start Redis and bring the database up to date, with the catalogue of agents in it."""
        self.redis.start()
        agents = self.env.get("SWALLOWTAIL_AGENTS", "")
        if "SWALLOWTAIL_DATABASE_URL" in self.env:
            self.run(["-m", "swallowtail.workers.release"])
        else:
            shutil.copy(_template(agents) / "swallowtail.db", self.root)
        return self

    @property
    def settings(self) -> Settings:
        """The settings of this deployment's processes; `runtime().settings` has the deployment's names too."""
        fields = {k.removeprefix("SWALLOWTAIL_").lower(): v for k, v in self.env.items()}
        return make_settings(**fields)

    def start_web(
        self, *, env: Mapping[str, object] | None = None, port: int | None = None, wait: bool = True
    ) -> WebProcess:
        """Start one more web process."""
        web = WebProcess(f"web{len(self.webs) + 1}", self.root, self._env(env), port=port)
        self.webs.append(web)
        web.start(wait=wait)
        # The `swallowtail` command calls the first one.
        self.env.setdefault("SWALLOWTAIL_URL", web.url)
        return web

    def start_worker(
        self, *, concurrency: int = 1, env: Mapping[str, object] | None = None, wait: bool = True
    ) -> WorkerProcess:
        """Start one more worker."""
        worker = WorkerProcess(f"worker{len(self.workers) + 1}", self.root, self._env(env), concurrency=concurrency)
        self.workers.append(worker)
        return worker.start(wait=wait)

    def start_beat(self, *, env: Mapping[str, object] | None = None, wait: bool = True) -> BeatProcess:
        """Start one more beat."""
        beat = BeatProcess(f"beat{len(self.beats) + 1}", self.root, self._env(env))
        self.beats.append(beat)
        return beat.start(wait=wait)

    def run(
        self, arguments: Sequence[str], *, stdin: str | None = None, check: bool = True, timeout: float = PATIENCE * 2
    ) -> subprocess.CompletedProcess[str]:
        """Run `python ARGUMENTS…` in the deployment to its end, with `stdin` as its input.

        Raises AssertionError with its output if it fails and `check` is set.
        """
        done = subprocess.run(
            [sys.executable, *arguments],
            input=stdin or "",
            env=clean_environment(self.env),
            cwd=self.root,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        if check and done.returncode != 0:
            raise AssertionError(f"{' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
        return done

    def cli(self, *arguments: str, stdin: str | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run the `swallowtail` command in the deployment."""
        return self.run(["-m", "swallowtail.scripts.enqueue", *arguments], stdin=stdin, check=check)

    def command(self, name: str, arguments: Sequence[str], *, env: Mapping[str, object] | None = None) -> Program:
        """Start `python ARGUMENTS…` in the deployment as a program that goes on; `wait`, `terminate` or `kill` it."""
        log = self.root / f"{name}.log"
        return Program(name, [sys.executable, *arguments], log=log, env=self._env(env), cwd=self.root).start()

    def programs(self) -> list[Program]:
        """All that was started here, in the order in which it is to be ended."""
        return [*self.beats, *self.workers, *self.webs, self.redis]

    def close(self) -> None:
        """End everything and remove the directory."""
        for program in self.programs():
            program.kill()
        self.close_runtime()
        shutil.rmtree(self.root, ignore_errors=True)

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(self, *_: object) -> None:
        self.close()

    def _env(self, more: Mapping[str, object] | None) -> dict[str, str]:
        return {**self.env, **variables(more or {})}


def variables(values: Mapping[str, object]) -> dict[str, str]:
    """Settings by field name as environment variables; names in upper case stay as they are."""
    return {k if k.isupper() else f"SWALLOWTAIL_{k.upper()}": str(v) for k, v in values.items()}


def _template(agents: str) -> Path:
    """A directory with an up-to-date SQLite database, made once per test run: copying is faster than migrating."""
    if agents not in _templates:
        root = make_directory()
        env = clean_environment(variables({"var_dir": root, "agents": agents}))
        done = subprocess.run(
            [sys.executable, "-m", "swallowtail.workers.release"],
            env=env,
            cwd=root,
            capture_output=True,
            text=True,
            timeout=300,
        )
        if done.returncode != 0:
            shutil.rmtree(root, ignore_errors=True)
            raise AssertionError(f"the release ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
        _templates[agents] = root
    return _templates[agents]


def remove_templates() -> None:
    """Remove the prepared databases. For the end of the test run."""
    while _templates:
        with contextlib.suppress(OSError):
            shutil.rmtree(_templates.popitem()[1])
