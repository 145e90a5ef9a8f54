"""Two tenants, one of which sends requests; no response may hold data of the other."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import update

from swallowtail.app.core.events import now
from swallowtail.app.core.schemas.tasks import NewTask
from swallowtail.app.core.security.roles import Role
from swallowtail.app.core.services import tasks as task_service
from swallowtail.app.core.services.instances import create_instance
from swallowtail.app.core.tables.auth import Membership
from swallowtail.app.core.tables.instances import Instance
from tests.web.app_fixture import CARD
from tests.web.callers import CallersApp

#: Stands in every text of the other tenant.
MARKER = "zebrafinch"


class Tenants(CallersApp):
    """`acme`, whose owner sends requests, and `other`, whose every text contains the marker."""

    def __init__(self, var: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(var, monkeypatch)
        with self.rt.db.write() as session:
            session.execute(update(Instance).where(Instance.id == "other").values(name=f"The {MARKER}"))
        for title in (f"{MARKER} one", f"{MARKER} two"):
            wanted = NewTask(kind=CARD.kind, input={"text": f"About the {MARKER}"}, title=title)
            task_id = task_service.submit(self.rt, "other", wanted).task["id"]
            self.web_app.perform(task_id)
        self.failed = task_id
        self.schedule = self.new_schedule()
        self.other_schedule = self.new_schedule("other")

    def restore(self) -> None:
        """Restore the rows that the owner may have deleted."""
        if self.request("owner", "GET", "/api/v1/instances/acme").status_code != 200:
            create_instance(self.rt, "Acme", "acme")
            with self.rt.db.write() as session:
                for role in Role:
                    session.add(Membership(instance_id="acme", user_id=role.value, role=role.value, created_at=now()))
        if self.request("owner", "GET", f"/api/v1/tasks/{self.task_id}").status_code != 200:
            self.task_id = self.new_task()
        if self.request("owner", "GET", f"/api/v1/schedules/{self.schedule}").status_code != 200:
            self.schedule = self.new_schedule()
