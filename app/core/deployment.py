"""The deployment's identity: part of the name of each of its channels, keys and queues. Before the road.

The identity is a row of the database, so that all processes of one deployment agree on it, however they reach the
database. Two deployments on one Redis, with other databases behind them, then share no name; pub/sub channels know no
database number. Each process also notes itself in Redis, so that a start can say when a copy of the database is used
beside the original.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Sequence
from typing import Any

import redis
import structlog
from sqlalchemy import insert, select, text
from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.database.database import Database
from swallowtail.app.core.database.engines import PostgresDriver
from swallowtail.app.core.database.schema_version import latest_revision
from swallowtail.app.core.errors import NotReleased
from swallowtail.app.core.redis.connection import connect
from swallowtail.app.core.tables.system import Deployment

log = structlog.get_logger(__name__)

#: Seconds after which a process that noted itself no more is taken for gone, and how often it does so.
FORGOTTEN_AFTER, NOTED_EVERY = 60.0, 20.0
_THE_ONE = 1
_EMPTY = "the database is not set up; run python -m swallowtail.workers.release first"
_BEHIND = "the database is not up to date; run python -m swallowtail.workers.release first"


def join(settings: Settings, driver: PostgresDriver | None = None) -> Settings:
    """Return the settings with the names of this deployment: `channel_prefix` and `queue` end with its identity.

    For the start of a process; the first one makes the identity. Joining again changes nothing.

    Raises:
        NotReleased: the database has no such table yet, or older ones.
        Unavailable: the database is away.
    """
    if settings.deployment and settings.queue.endswith(f".{settings.deployment}"):
        return settings
    identity = _look_up(settings, driver)
    names = {"channel_prefix": f"{settings.channel_prefix}:{identity}", "queue": f"{settings.queue}.{identity}"}
    return settings.model_copy(update={**names, "deployment": identity})


class Presence:
    """Notes in Redis that a process of this deployment runs on this database, and looks who else uses its names."""

    def __init__(self, settings: Settings, db: Database) -> None:
        self._settings = settings
        self._db = db
        self._key = f"{settings.channel_prefix}:databases"
        self._place = ""
        self._due = 0.0
        self._told = False

    def note(self) -> None:
        """Note this process if it is time to, and say once when another database is behind the same names."""
        if not self._settings.deployment or time.monotonic() < self._due:
            return
        self._due = time.monotonic() + NOTED_EVERY
        self._place = _find_place(self._db, self._settings)
        try:
            with connect(self._settings) as client:
                client.hset(self._key, self._place, repr(time.time()))
                client.expire(self._key, int(FORGOTTEN_AFTER * 10))
                noted: dict[bytes, bytes] = client.hgetall(self._key)
        except (redis.RedisError, OSError) as fault:
            log.debug("presence_not_noted", reason=str(fault))
            return
        others = sorted(place.decode() for place, moment in noted.items() if self._is_other(place, moment))
        if others and not self._told:
            self._told = True
            log.error(
                "another_database_uses_these_names",
                databases=others,
                this=self._place,
                remedy="a copy of this database is in use; give one of them another SWALLOWTAIL_REDIS_URL (another "
                "server, not another number), or SWALLOWTAIL_CHANNEL_PREFIX and SWALLOWTAIL_QUEUE of its own",
            )

    def _is_other(self, place: bytes, moment: bytes) -> bool:
        return place.decode() != self._place and time.time() - float(moment) < FORGOTTEN_AFTER


def _look_up(settings: Settings, driver: PostgresDriver | None) -> str:
    db = Database(settings, driver)
    try:
        _check_revision(db)
        return settings.deployment or _find(db) or _make(db)
    except (OperationalError, ProgrammingError):
        raise NotReleased(_EMPTY) from None
    finally:
        db.dispose()


def _check_revision(db: Database) -> None:
    """Refuse tables that are older than this code: every query of theirs would fail by itself, without a hint."""
    with db.read() as session:
        there = session.execute(text("SELECT version_num FROM alembic_version")).scalars().all()
    if max(there, default="") < latest_revision():
        raise NotReleased(_BEHIND)


def _find(db: Database) -> str | None:
    with db.read() as session:
        identity: str | None = session.scalar(select(Deployment.identity).where(Deployment.id == _THE_ONE))
    return identity


def _make(db: Database) -> str:
    try:
        with db.write() as session:
            session.execute(insert(Deployment).values(id=_THE_ONE, identity=secrets.token_hex(4)))
    except IntegrityError:
        # Another process was first.
        pass
    return str(_find(db))


def _find_place(db: Database, settings: Settings) -> str:
    """Return a name of this very database, however it is reached: of no meaning but to tell it from its copies."""
    found: Sequence[Any]
    if settings.database_file is not None:
        file = settings.database_file.stat()
        found = (file.st_dev, file.st_ino)
    else:
        with db.read() as session:
            found = session.execute(
                text(
                    "SELECT d.oid, s.system_identifier FROM pg_database d, pg_control_system() s "
                    "WHERE d.datname = current_database()"
                )
            ).one()
    return hashlib.sha256(repr(tuple(found)).encode()).hexdigest()[:16]
