"""Every database and driver refuses a row with a missing parent with the same error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from swallowtail.app.core.errors import NotFound
from swallowtail.app.core.events import now
from swallowtail.app.core.tables.auth import Membership, User
from swallowtail.app.core.tables.instances import Instance
from swallowtail.app.core.tables.schedules import Schedule
from swallowtail.app.core.tables.tasks import Step
from tests.core.domain import Domain
from tests.harness.settings import make_settings

pytestmark = pytest.mark.service


def store(domain: Domain, *rows: Any) -> None:
    domain.db.run(lambda session: session.add_all(rows))


def make_rows() -> dict[tuple[str, str], Any]:
    """Return rows by the missing parent, with the field of the error."""
    step = {"key": "one", "position": 1, "agent": "A", "action": "work", "status": "in_progress", "attempt": 1}
    slot = {"name": "n", "kind": "echo", "input": {}, "timing": "once", "catch_up": "all", "overlap": "allow"}
    return {
        ("task", "task_id"): Step(id="s", task_id="none", started_at=now(), **step),
        ("instance", "instance_id"): Schedule(
            id="p", instance_id="none", timezone="UTC", paused=False, created_at=now(), **slot
        ),
        ("user", "name"): Membership(instance_id="demo", user_id="none", role="viewer", created_at=now()),
    }


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_postgresql_names_the_missing_parent(postgres: str, driver: str) -> None:
    domain = Domain(make_settings(database_url=postgres), driver=driver)
    try:
        for (what, field), row in make_rows().items():
            with pytest.raises(NotFound, match=f"there is no such {what}") as refused:
                store(domain, row)
            assert refused.value.field == field
        check_other_faults(domain)
    finally:
        domain.close()


def test_sqlite_reports_a_missing_parent(migrated: Path, tmp_path: Path) -> None:
    (tmp_path / "swallowtail.db").write_bytes(migrated.read_bytes())
    domain = Domain(make_settings(var_dir=tmp_path))
    try:
        for row in make_rows().values():
            with pytest.raises(NotFound, match="the parent of this object was deleted"):
                store(domain, row)
        check_other_faults(domain)
    finally:
        domain.close()


def check_other_faults(domain: Domain) -> None:
    """A duplicate is not reported as a missing parent."""
    store(domain, User(id="a", name="ann", is_superuser=False, generation=1, created_at=now()))
    for row in (
        User(id="b", name="ann", is_superuser=False, generation=1, created_at=now()),
        Instance(id="demo", name="Demo", epoch="e", seq=0, min_seq=0, created_at=now()),
    ):
        with pytest.raises(IntegrityError):
            store(domain, row)
