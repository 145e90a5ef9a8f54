"""Settings of where a deployment keeps its data: the var directory, the database, Redis and the broker."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from pydantic import BaseModel, Field, field_validator

from swallowtail.app.core.config.addresses import SQLITE, check_postgres, check_server, locate_file, quote_path
from swallowtail.app.core.config.basic import basic
from swallowtail.app.core.config.tls import read_address

#: Longest path that fits into `sockaddr_un` on Linux (108 bytes) and macOS (104), with its closing zero.
SOCKET_PATH_LIMIT = 100

_REDIS = ("redis://", "rediss://")
_BROKERS = ("redis://", "rediss://", "redis+socket://", "unix://", "amqp://", "amqps://", "pyamqp://")


class LocationSettings(BaseModel):
    """The addresses of the database, Redis and the broker. Unset ones mean the embedded servers under `var_dir`."""

    # Locations
    var_dir: Path = basic(Path("var"), description="Directory of the embedded database, server and logs")
    database_url: str | None = basic(None, description="sqlite:///… or postgresql://…; embedded SQLite when unset")
    redis_url: str | None = basic(None, description="redis://…, rediss://… or unix://…; embedded server when unset")
    broker_url: str | None = basic(None, description="Celery broker: redis://… or amqp://…; the Redis above when unset")
    channel_prefix: str = Field("swallowtail", pattern=r"^[A-Za-z0-9_.-]{1,64}$", description="Prefix of channels")
    deployment: str = Field(
        "",
        pattern=r"^[A-Za-z0-9]{0,32}$",
        description="Name of the deployment, at the end of its channels, keys and queue; created once and stored in "
        "the database when empty",
    )
    queue: str = Field("swallowtail", pattern=r"^[A-Za-z0-9_.-]{1,64}$", description="Celery queue of the tasks")

    @field_validator("var_dir")
    @classmethod
    def _make_var_absolute(cls, value: Path) -> Path:
        # Once, at the start: an agent that changes its working directory must not move the deployment.
        try:
            return value.expanduser().absolute()
        except RuntimeError:
            raise ValueError("begins with ~ and an unknown user") from None

    @field_validator("database_url")
    @classmethod
    def _check_database(cls, value: str | None) -> str | None:
        if value is None:
            return None
        if not value.startswith((SQLITE, "postgresql://", "postgres://")):
            raise ValueError("must start with sqlite:/// or postgresql://")
        if value == SQLITE or ":memory:" in value:
            raise ValueError("must name a file: every process needs the same database")
        return locate_file(value) if value.startswith(SQLITE) else check_postgres(value)

    @field_validator("redis_url")
    @classmethod
    def _check_redis(cls, value: str | None) -> str | None:
        if value is not None:
            if not value.startswith((*_REDIS, "unix://")):
                raise ValueError("must start with redis://, rediss:// or unix://")
            _check_redis_url(value)
            read_address(value)
        return value

    @field_validator("broker_url")
    @classmethod
    def _check_broker(cls, value: str | None) -> str | None:
        if value is not None:
            if not value.startswith(_BROKERS):
                raise ValueError(f"must start with {', '.join(_BROKERS[:-1])} or {_BROKERS[-1]}")
            _check_redis_url(value) if value.startswith(_REDIS) else check_server(value)
            read_address(value)
        return value

    @property
    def var(self) -> Path:
        """Absolute path of the directory for embedded state."""
        return self.var_dir.resolve()

    @property
    def database(self) -> str:
        """URL of the database, without a driver name."""
        if self.database_url is None:
            return SQLITE + quote_path(str(self.database_file))
        return self.database_url.replace("postgres://", "postgresql://", 1)

    @property
    def database_file(self) -> Path | None:
        """Path of the SQLite database; None for PostgreSQL."""
        if self.database_url is None:
            return self.var / "swallowtail.db"
        if not self.database_url.startswith(SQLITE):
            return None
        return Path(unquote(self.database_url.removeprefix(SQLITE).partition("?")[0]))

    @property
    def embedded_redis(self) -> bool:
        """Whether Redis is the embedded server under `var`."""
        return self.redis_url is None

    @property
    def redis(self) -> str:
        """URL for redis-py. The embedded server writes `redis.url` when the path of its socket would be too long."""
        if self.redis_url is not None:
            return self.redis_url
        socket = self.var / "redis.sock"
        address_file = self.var / "redis.url"
        if len(bytes(socket)) > SOCKET_PATH_LIMIT and address_file.exists():
            return address_file.read_text(encoding="utf-8").strip()
        return f"unix://{quote(bytes(socket))}"

    @property
    def broker(self) -> str:
        """URL for Celery. Kombu spells a Redis unix socket differently from redis-py."""
        url = self.broker_url or self.redis
        if not url.startswith("unix://"):
            return url
        socket, query, options = url.replace("unix://", "redis+socket://", 1).partition("?")
        return socket + query + re.sub(r"(^|&)db=", r"\1virtual_host=", options)


def _check_redis_url(url: str) -> None:
    check_server(url)
    path = urlsplit(url).path.strip("/")
    if url.startswith(_REDIS) and path and not path.isdigit():
        raise ValueError("must have the number of a database after the host, such as redis://host:6379/0, or nothing")
