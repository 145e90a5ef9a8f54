"""Every setting, read once at start from `SWALLOWTAIL_*` and an `.env` file (docs/settings.md is the table).

A value that cannot be used stops the process with a message that names the variable.
"""

from __future__ import annotations

import math
import re
from functools import cached_property
from pathlib import Path
from typing import Literal, Self
from urllib.parse import unquote, urlsplit

from pydantic import AliasChoices, Field, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from swallowtail.app.core.config.addresses import (
    SQLITE,
    check_postgres,
    check_server,
    locate_file,
    plain_origin,
    quote_path,
)
from swallowtail.app.core.config.agents import AgentSettings
from swallowtail.app.core.config.auth import AccessSettings, is_loopback
from swallowtail.app.core.config.database import DatabaseSettings
from swallowtail.app.core.config.documents import ReadingSettings
from swallowtail.app.core.config.http import EntranceSettings, list_words
from swallowtail.app.core.config.limits import LimitSettings
from swallowtail.app.core.config.numbers import NumberSettings
from swallowtail.app.core.config.observability import WatchingSettings
from swallowtail.app.core.config.privacy import PrivacySettings
from swallowtail.app.core.config.tls import find_reach
from swallowtail.app.core.config.unknown_names import find_unknown
from swallowtail.app.core.errors import SettingsError

#: Longest path that fits into `sockaddr_un` on Linux (108 bytes) and macOS (104), with its closing zero.
SOCKET_PATH_LIMIT = 100

_REDIS = ("redis://", "rediss://")
_BROKERS = ("redis://", "rediss://", "redis+socket://", "unix://", "amqp://", "amqps://", "pyamqp://")
_PORT = AliasChoices("SWALLOWTAIL_PORT", "PORT")
#: What serves more than this machine's own users, beside all of how callers prove who they are and of the entrance.
_BEYOND = frozenset({"database_url", "redis_url", "broker_url", "host", "cors_origins"})
#: Of these, what says nothing about who comes in.
_ASIDE = frozenset({"auth", "token", "token_file", "access_check", "token_warning", "refusal_window", "max_refusals"})


class Settings(
    AccessSettings,
    AgentSettings,
    DatabaseSettings,
    EntranceSettings,
    LimitSettings,
    NumberSettings,
    PrivacySettings,
    ReadingSettings,
    WatchingSettings,
):
    """The frozen settings of one process. Times are in seconds, sizes in bytes, unless a name says otherwise."""

    model_config = SettingsConfigDict(
        env_prefix="SWALLOWTAIL_", env_file=".env", env_file_encoding="utf-8", extra="ignore", frozen=True
    )

    # Where things are
    var_dir: Path = Field(
        Path("var"), validate_default=True, description="Directory of the embedded database, server and logs"
    )
    database_url: str | None = Field(None, description="sqlite:///… or postgresql://…; embedded SQLite when unset")
    redis_url: str | None = Field(None, description="redis://…, rediss://… or unix://…; embedded server when unset")
    broker_url: str | None = Field(None, description="Celery broker: redis://… or amqp://…; the Redis above when unset")
    channel_prefix: str = Field(
        "swallowtail", pattern=r"^[A-Za-z0-9_.-]{1,64}$", description="Prefix of Redis channels"
    )
    deployment: str = Field(
        "",
        pattern=r"^[A-Za-z0-9]{0,32}$",
        description="Name of the deployment, at the end of its channels, keys and queue; made once, and kept in the "
        "database, when empty",
    )
    queue: str = Field("swallowtail", pattern=r"^[A-Za-z0-9_.-]{1,64}$", description="Celery queue that tasks go to")

    # The web process
    host: str = Field("127.0.0.1", description="Address to listen on")
    port: int = Field(
        8000,
        ge=0,
        le=65535,
        description="Port to listen on (`PORT` is read too)",
        validation_alias=_PORT,
    )
    async_mode: Literal["eventlet", "gevent", "threading"] = Field(
        "eventlet", description="Concurrency of the web process"
    )
    processes: int = Field(1, ge=1, le=256, description="Web processes that share the address (`--processes`)")
    cors_origins: str = Field(
        "", description="Origins, comma separated, that may call across sites; same origin when empty"
    )
    engine: Literal["fast", "stock"] = Field(
        "fast", description="Websockets of our own under eventlet, or the stock ones in any case"
    )
    max_connections: int = Field(10_000, ge=1, description="Open sockets that one web process accepts")
    max_body_bytes: int = Field(262_144, ge=1024, description="Largest request body or socket message")
    max_frame_bytes: int = Field(
        1_048_576, ge=4096, description="Largest socket frame that is read at all; a larger one closes the connection"
    )
    max_json_depth: int = Field(
        32, ge=4, le=200, description="Deepest nesting of any JSON: what is submitted, and what agents return"
    )
    max_json_nodes: int = Field(
        100_000, ge=100, description="Most values, each object, list, text and number counted, in one JSON document"
    )
    max_subscriptions: int = Field(100, ge=1, description="Instances and tasks that one client may watch at once")
    page_size: int = Field(50, ge=1, le=1000, description="Rows on a page of a list")
    max_page_size: int = Field(200, ge=1, le=1000, description="Most rows that a caller may ask for on a page")
    demo_instance: str = Field("demo", description="Instance that a release makes sure exists; empty for none")

    # Delivery
    publish_timeout: float = Field(1.0, gt=0, le=30, description="Longest that one publish to Redis may take")
    socketio_channel: str = Field(
        "flask-socketio", pattern=r"^[A-Za-z0-9_.:-]{1,64}$", description="Redis channel of other programs' own emits"
    )
    head_interval: float = Field(5.0, gt=0, description="How often an idle room is told its head")
    head_check: float = Field(1.0, gt=0, description="How often a watched instance is compared with the database")
    probe_interval: float = Field(1.0, gt=0, description="How often a web process publishes a message to itself")
    deaf_after: float = Field(
        3.0, gt=0, description="Silence after which a web process whose messages Redis takes subscribes anew"
    )
    ring_events: int = Field(1000, ge=10, description="Recent events kept in memory for each watched instance")
    ring_bytes: int = Field(1_048_576, ge=65_536, description="Most memory for the recent events of an instance")
    client_backlog: int = Field(256, ge=16, description="Messages that may wait for a client before its stream rests")
    client_bytes: int = Field(65_536, ge=4096, description="Bytes that may wait for a client that does not take them")
    outbound_bytes: int = Field(
        67_108_864,
        ge=1_048_576,
        description="Bytes that may wait for all clients of a process; the slowest are closed",
    )
    connect_timeout: float = Field(
        45.0, gt=0, description="How long a connection may be connected to no Socket.IO namespace"
    )
    poll_packets: int = Field(
        16, ge=1, description="Packets in one answer to a poll; python-engineio's client reads no more than 16"
    )
    max_post_packets: int = Field(
        5000, ge=1, description="Packets in one request of a client that polls; more of them end its session"
    )
    client_rate: int = Field(200, ge=1, description="Messages of a client that are heard per second; the rest wait")
    resume_rate: int = Field(
        2000, ge=1, description="Clients that may go on from a position per second; the rest are told when to come back"
    )
    join_seconds: float = Field(
        0.005, ge=0, le=1, description="Longest that an event of a busy room waits for the next, to leave in one write"
    )
    replay_limit: int = Field(10_000, ge=1, description="Longest gap that is replayed; a longer one gets a snapshot")
    snapshot_tasks: int = Field(200, ge=1, description="Most tasks in a snapshot, the latest first")
    snapshot_steps: int = Field(2000, ge=1, description="Most steps in a snapshot, those of the latest tasks first")
    snapshot_bytes: int = Field(
        1_048_576, ge=16_384, description="Largest snapshot, as JSON; what does not fit is left out, the oldest first"
    )
    snapshot_share: float = Field(
        1.0, ge=0, le=60, description="How long a snapshot is given to others that come for one; 0 for never"
    )
    progress_rate: float = Field(10.0, gt=0, description="Live progress messages per task and second")

    # Tasks
    lease_seconds: float = Field(15.0, gt=0, description="How long a run holds its task without a heartbeat")
    heartbeat_seconds: float = Field(1.0, gt=0, description="How often a run extends its lease and looks for a cancel")
    cancel_grace: float = Field(10.0, ge=0, description="How long a cancelled run may go on before it is interrupted")
    shutdown_grace: float = Field(
        5.0, ge=0, description="How long a step may go on once its worker is told to stop, before the step is told too"
    )
    sweep_interval: float = Field(1.0, gt=0, description="How often lost wishes, leases and expiries are looked for")
    resend_idle: float = Field(
        3.0, gt=0, description="When a wake-up message that nobody claimed is sent again if the broker's queue is empty"
    )
    resend_after: float = Field(10.0, gt=0, description="When a wake-up message that nobody claimed is first doubted")
    resend_max: float = Field(300.0, gt=0, description="Longest pause between two doubts")
    send_timeout: float = Field(2.0, gt=0, description="Longest that handing one message to the broker may take")
    max_losses: int = Field(5, ge=0, description="Workers that a task may lose in a row without finishing a step")
    step_tries: int = Field(3, ge=1, description="Tries of a step before its task fails")
    backoff_base: float = Field(1.0, ge=0, description="Pause before the second try; doubles with each one after")
    backoff_max: float = Field(60.0, ge=0, description="Longest pause between two tries")
    retry_after_max: float = Field(
        3600.0, ge=0, description="Longest pause before the next try that an error may ask for (`Retry-After`)"
    )
    soft_time_limit: float = Field(
        600.0, gt=0, description="When a run is told to stop, unless its agent says otherwise"
    )
    hard_time_limit: float = Field(660.0, gt=0, description="When a run is killed, unless its agent says otherwise")
    max_output_bytes: int = Field(
        1_048_576, ge=1024, description="Largest output of a step or result of a task, as JSON"
    )
    kind_patience: float = Field(
        600.0,
        ge=0,
        description="How long a task waits for a worker that knows its kind before it fails",
    )
    announce_interval: float = Field(
        5.0,
        gt=0,
        description="How often a worker says that it lives and what it knows; six misses are its end",
    )
    worker_concurrency: int = Field(2, ge=1, description="Runs that one worker performs at once")
    worker_max_runs: int = Field(0, ge=0, description="Runs after which a pool process is replaced; 0 for never")
    beat_interval: float = Field(1.0, gt=0, description="How often beat looks for due schedules")
    catch_up_after: float = Field(
        60.0, gt=0, description="How late a slot may be when beat first sees it before it counts as missed"
    )
    max_catch_up: int = Field(
        100, ge=1, description="Most missed slots that a schedule with catch-up `all` makes up for"
    )

    # The supervisor of `scripts/up`, and of several web processes
    stop_grace: float = Field(20.0, gt=0, description="How long a stopped process may take before it is killed")
    restart_pause: float = Field(0.5, ge=0, description="Pause before a process that ended is started again; doubles")
    restart_pause_max: float = Field(15.0, ge=0, description="Longest such pause")
    restart_forget: float = Field(
        30.0, gt=0, description="How long a process must live for the pause to be short again"
    )

    # Logs
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="Least level that is logged")
    log_format: Literal["console", "json"] = Field("console", description="Shape of log lines")

    @field_validator("database_url", "redis_url", "broker_url", "var_dir", "openai_base_url", mode="before")
    @classmethod
    def _empty_is_unset(cls, value: object, info: ValidationInfo) -> object:
        # An empty path would be the present directory, and all of it would be closed to others.
        return cls.model_fields[str(info.field_name)].default if value == "" else value

    @field_validator("var_dir")
    @classmethod
    def _var_from_here(cls, value: Path) -> Path:
        # Once, at the start: an agent that goes to another directory must not take the deployment along.
        try:
            return value.expanduser().absolute()
        except RuntimeError:
            raise ValueError("begins with ~ and a user whose home directory nobody knows") from None

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith((SQLITE, "postgresql://", "postgres://")):
            raise ValueError("must start with sqlite:/// or postgresql://")
        if value is not None and (value == SQLITE or ":memory:" in value):
            raise ValueError("must name a file: every process needs the same database")
        if value is None or value.startswith(SQLITE):
            return value if value is None else locate_file(value)
        return check_postgres(value)

    @field_validator("redis_url")
    @classmethod
    def _known_redis(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("must start with redis://, rediss:// or unix://")
        if value is not None:
            _check_redis(value)
            find_reach(value)
        return value

    @field_validator("broker_url")
    @classmethod
    def _known_broker(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(_BROKERS):
            raise ValueError(f"must start with {', '.join(_BROKERS[:-1])} or {_BROKERS[-1]}")
        if value is not None:
            _check_redis(value) if value.startswith(_REDIS) else check_server(value)
            find_reach(value)
        return value

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, value: str) -> str:
        return ",".join(plain_origin(word) for word in list_words(value))

    @field_validator("heartbeat_seconds")
    @classmethod
    def _beats_within_lease(cls, value: float, info: ValidationInfo) -> float:
        if value >= info.data.get("lease_seconds", math.inf):
            raise ValueError("must be shorter than SWALLOWTAIL_LEASE_SECONDS, or every run would lose its lease")
        return value

    @field_validator("hard_time_limit")
    @classmethod
    def _hard_after_soft(cls, value: float, info: ValidationInfo) -> float:
        if value < info.data.get("soft_time_limit", 0.0):
            raise ValueError("must not be shorter than SWALLOWTAIL_SOFT_TIME_LIMIT")
        return value

    @model_validator(mode="after")
    def _open_on_loopback_only(self) -> Self:
        if self.auth == "open" and not is_loopback(self.host):
            raise ValueError("SWALLOWTAIL_AUTH: open is possible on a loopback SWALLOWTAIL_HOST only")
        return self

    @cached_property
    def is_open(self) -> bool:
        """Whether anybody who reaches this deployment may do everything, without saying who they are."""
        return self.auth == "open" or (self.auth == "auto" and not self.closing)

    @cached_property
    def closing(self) -> list[str]:
        """Names of the settings that have `auto` ask callers who they are: they make sense only beyond this machine."""
        names = (_BEYOND | AccessSettings.model_fields.keys() | EntranceSettings.model_fields.keys()) - _ASIDE
        differs = [name for name in sorted(names) if getattr(self, name) != type(self).model_fields[name].default]
        return [name for name in differs if name != "host" or not is_loopback(self.host)]

    @property
    def has_probe(self) -> bool:
        """Whether the agent `probe` may be asked for."""
        return self.probe == "on" or (self.probe == "auto" and self.is_open)

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
        """Path of the SQLite database; None when it is PostgreSQL."""
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
        """URL for redis-py. The embedded server writes `redis.url` when its socket's path would be too long."""
        if self.redis_url is not None:
            return self.redis_url
        socket = self.var / "redis.sock"
        written = self.var / "redis.url"
        if len(bytes(socket)) > SOCKET_PATH_LIMIT and written.exists():
            return written.read_text(encoding="utf-8").strip()
        return f"unix://{socket}"

    @property
    def broker(self) -> str:
        """URL for Celery. Kombu spells a Redis unix socket differently from redis-py."""
        url = self.broker_url or self.redis
        if not url.startswith("unix://"):
            return url
        socket, query, options = url.replace("unix://", "redis+socket://", 1).partition("?")
        return socket + query + re.sub(r"(^|&)db=", r"\1virtual_host=", options)


def load_settings() -> Settings:
    """Read the settings from the environment.

    Raises:
        SettingsError: a value cannot be used; the message names the variable.
    """
    unknown = find_unknown(Settings.model_fields)
    try:
        settings = Settings()
    except ValidationError as invalid:
        raise SettingsError("; ".join([_describe(invalid), *unknown])) from None
    if unknown:
        raise SettingsError("; ".join(unknown))
    return settings


def _check_redis(url: str) -> None:
    check_server(url)
    path = urlsplit(url).path.strip("/")
    if url.startswith(_REDIS) and path and not path.isdigit():
        raise ValueError("must have the number of a database after the host, such as redis://host:6379/0, or nothing")


def _describe(invalid: ValidationError) -> str:
    lines = []
    for finding in invalid.errors(include_url=False, include_context=False, include_input=False):
        if not finding["loc"]:
            # About several at once; the message names them.
            lines.append(finding["msg"].removeprefix("Value error, "))
            continue
        name = str(finding["loc"][0])
        # The alias that was really set cannot be told from the finding.
        variable = "SWALLOWTAIL_PORT (or PORT)" if name in _PORT.choices else f"SWALLOWTAIL_{name.upper()}"
        lines.append(f"{variable}: {finding['msg'].removeprefix('Value error, ')}")
    return "; ".join(lines)
