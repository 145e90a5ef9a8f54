"""Finds out whether a deployment has no user yet, for the page that says how to create the first one."""

from __future__ import annotations

from sqlalchemy.exc import SQLAlchemyError

from swallowtail.app.core.call_context import CallContext
from swallowtail.app.core.errors import SwallowtailError
from swallowtail.app.core.identity.users import has_users


class FirstUserCheck:
    """Whether the first user is missing. Users are never deleted, so the database is asked until there is one."""

    def __init__(self) -> None:
        self._has_users = False

    def is_missing(self, context: CallContext) -> bool:
        """Return whether there is no user; False while the database does not answer."""
        if not self._has_users:
            try:
                with context.db.read() as session:
                    self._has_users = has_users(session)
            except (SwallowtailError, SQLAlchemyError):
                return False
        return not self._has_users
