"""Connections to PostgreSQL: how many are left for who needs one next, such as a run. Beside the road."""

from __future__ import annotations

from sqlalchemy import text

from app.core.db import Database

#: By the three limits that there are: the server's, the role's and the database's.
_LEFT = text(
    """
    SELECT least(
        current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int - count(*),
        (SELECT nullif(rolconnlimit, -1) FROM pg_roles WHERE rolname = current_user)
            - count(*) FILTER (WHERE usename = current_user),
        (SELECT nullif(datconnlimit, -1) FROM pg_database WHERE datname = current_database())
            - count(*) FILTER (WHERE datname = current_database())
    )
    FROM pg_stat_activity WHERE backend_type = 'client backend'
    """
)


def count_left(db: Database) -> int | None:
    """Return how many connections the server has left for this process's role; None on SQLite, which has no limit.

    Raises:
        Unavailable: the database is away, or had none left for this question.
    """
    if db.engine.dialect.name != "postgresql":
        return None
    with db.read(wait=0.0) as session:
        return max(0, int(session.scalars(_LEFT).one()))
