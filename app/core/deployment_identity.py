"""The identity of a deployment, a part of the names of its channels, keys and queues.

The identity is a row of the database, so that all processes agree on it. Two deployments with different databases on
one Redis share no name; pub/sub channels ignore database numbers. Each process also registers its database in Redis, so
that it can report a copy of the database under the same names.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Sequence
from contextlib import suppress
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

#: Seconds after which a silent process counts as gone, and the interval of its registrations.
_EXPIRES_AFTER, _REGISTER_EVERY = 60.0, 20.0
_ONLY_ID = 1
_EMPTY = "the database is not set up; run swallowtail release first"
_BEHIND = "the database is not up to date; run swallowtail release first"


def join(settings: Settings, driver: PostgresDriver | None = None) -> Settings:
    """Return the settings with `channel_prefix` and `queue` extended by the deployment's identity.

    Each process calls it at its start; the first one creates the identity. Raises NotReleased and Unavailable.
    """
    if settings.deployment and settings.queue.endswith(f".{settings.deployment}"):
        return settings
    identity = _look_up(settings, driver)
    names = {"channel_prefix": f"{settings.channel_prefix}:{identity}", "queue": f"{settings.queue}.{identity}"}
    return settings.model_copy(update={**names, "deployment": identity})


class DeploymentRegistration:
    """Registers this process and its database in Redis, and detects other databases under the same names."""

    def __init__(self, settings: Settings, db: Database) -> None:
        self._settings = settings
        self._db = db
        self._key = f"{settings.channel_prefix}:databases"
        self._place = ""
        self._due = 0.0
        self._is_reported = False

    def register(self) -> None:
        """Register this process if it is time, and log once if another database uses the same names."""
        if not self._settings.deployment or time.monotonic() < self._due:
            return
        self._due = time.monotonic() + _REGISTER_EVERY
        self._place = _find_place(self._db, self._settings)
        try:
            with connect(self._settings) as client:
                client.hset(self._key, self._place, repr(time.time()))
                client.expire(self._key, int(_EXPIRES_AFTER * 10))
                registered: dict[bytes, bytes] = client.hgetall(self._key)
        except (redis.RedisError, OSError) as fault:
            log.debug("deployment_not_registered", reason=str(fault))
            return
        others = sorted(place.decode() for place, moment in registered.items() if self._is_other(place, moment))
        if others and not self._is_reported:
            self._is_reported = True
            log.error(
                "another_database_uses_these_names",
                databases=others,
                this=self._place,
                remedy="a copy of this database is in use; give one of them another SWALLOWTAIL_REDIS_URL (another "
                "server, not another number), or SWALLOWTAIL_CHANNEL_PREFIX and SWALLOWTAIL_QUEUE of its own",
            )

    def _is_other(self, place: bytes, moment: bytes) -> bool:
        return place.decode() != self._place and time.time() - float(moment) < _EXPIRES_AFTER


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
    with db.read() as session:
        revisions = session.execute(text("SELECT version_num FROM alembic_version")).scalars().all()
    if max(revisions, default="") < latest_revision():
        raise NotReleased(_BEHIND)


def _find(db: Database) -> str | None:
    with db.read() as session:
        identity: str | None = session.scalar(select(Deployment.identity).where(Deployment.id == _ONLY_ID))
    return identity


def _make(db: Database) -> str:
    # An IntegrityError means that another process was first.
    with suppress(IntegrityError), db.write() as session:
        session.execute(insert(Deployment).values(id=_ONLY_ID, identity=secrets.token_hex(4)))
    return str(_find(db))


def _find_place(db: Database, settings: Settings) -> str:
    """Return a name of this database that differs from those of its copies, whichever URL it has."""
    parts: Sequence[Any]
    if settings.database_file is not None:
        file = settings.database_file.stat()
        parts = (file.st_dev, file.st_ino)
    else:
        with db.read() as session:
            parts = session.execute(
                text(
                    "SELECT d.oid, s.system_identifier FROM pg_database d, pg_control_system() s "
                    "WHERE d.datname = current_database()"
                )
            ).one()
    return hashlib.sha256(repr(tuple(parts)).encode()).hexdigest()[:16]
