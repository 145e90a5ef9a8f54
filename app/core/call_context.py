"""The context of one call of the domain: settings, database, writers and the caller on whose behalf it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Self, TypeVar

import structlog
from sqlalchemy.exc import SQLAlchemyError

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.database.database import Database
from swallowtail.app.core.errors import SwallowtailError
from swallowtail.app.core.ledger.event_log import Change
from swallowtail.app.core.ledger.tasks import TaskWriter
from swallowtail.app.core.ledger.unit_of_work import UnitOfWork
from swallowtail.app.core.process.offload import Offload, run_here
from swallowtail.app.core.security.actors import SYSTEM_CALLER, Caller
from swallowtail.app.core.security.passwords import Passwords
from swallowtail.app.core.security.token_uses import TokenUses

log = structlog.get_logger(__name__)

T = TypeVar("T")


@dataclass(slots=True, kw_only=True)
class CallContext:
    """The first argument of the services, of identity and of maintenance, which have the permissions of `caller`."""

    settings: Settings
    db: Database
    unit: UnitOfWork
    ledger: TaskWriter
    passwords: Passwords
    #: Called after a commit that left an outbox entry due now.
    wake_relay: Callable[[], object]
    #: Whether the broker did not respond to this process last time.
    is_broker_away: Callable[[], bool] = field(default=lambda: False)
    caller: Caller = SYSTEM_CALLER
    #: Runs long computations with payloads.
    offload: Offload = run_here
    token_uses: TokenUses = field(default_factory=TokenUses)

    def by(self, caller: Caller) -> Self:
        """Return the same context for another caller."""
        return replace(self, caller=caller)

    def commit(self, work: Callable[[Change], T]) -> T:
        """Run `work` in one transaction for the caller; see `UnitOfWork.commit`."""
        return self.unit.commit(work, self.caller)[0]

    def store_token_uses(self, *, wait: float = 0.0) -> None:
        """Store when tokens were last used, in one transaction; if the database is not free, a later call does."""
        if self.token_uses.is_empty:
            return
        try:
            with self.db.write(wait=wait) as session:
                self.token_uses.store(session)
        except (SwallowtailError, SQLAlchemyError) as fault:
            log.info("token_uses_not_stored", reason=str(fault))
