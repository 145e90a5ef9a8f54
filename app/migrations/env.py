"""Runs the migrations for Alembic, on the database of the settings or on a connection that the caller passes."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

from swallowtail.app.core.config.settings import load_settings
from swallowtail.app.core.database.database import Database
from swallowtail.app.core.tables.base import Base


def migrate(connection: Connection) -> None:
    """Run the migrations on `connection`. SQLite alters a table by copying it, hence the batch mode."""
    context.configure(connection=connection, target_metadata=Base.metadata, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()


def main() -> None:
    """Run on the caller's connection if there is one, otherwise on the database of the settings."""
    connection = context.config.attributes.get("connection")
    if connection is not None:
        migrate(connection)
        return
    database = Database(load_settings())
    try:
        with database.engine.connect() as connection, connection.begin():
            migrate(connection)
    finally:
        database.dispose()


main()
