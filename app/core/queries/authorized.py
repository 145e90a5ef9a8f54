"""Reads for one caller: checks the permission, reads the rows and masks the fields.

An object that the caller has no access to looks like one that does not exist.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from swallowtail.app.core.audit.reader import list_entries
from swallowtail.app.core.audit.writer import SYSTEM_SCOPE
from swallowtail.app.core.coordination.worker_registry import find_kind_warning, live_kinds
from swallowtail.app.core.errors import NotFound
from swallowtail.app.core.events import EventRecord
from swallowtail.app.core.ledger.artifacts import ArtifactContent, find_owner, is_input, read_artifact
from swallowtail.app.core.ledger.event_log import Head, read_events, read_head
from swallowtail.app.core.queries import rows
from swallowtail.app.core.queries.snapshot import SnapshotLimits, SnapshotRows, read_snapshot_rows
from swallowtail.app.core.queries.text_search import TextSearch
from swallowtail.app.core.queries.waits import add_waits
from swallowtail.app.core.schemas.identities import AuditEntryView, AuditFilter
from swallowtail.app.core.schemas.instances import AgentView, InstanceView
from swallowtail.app.core.schemas.schedules import ScheduleSummary, ScheduleView, SlotView
from swallowtail.app.core.schemas.tasks import StepSummary, StepView, TaskSummary, TaskView
from swallowtail.app.core.security.actors import Actor
from swallowtail.app.core.security.field_mask import FieldMask, view_of
from swallowtail.app.core.security.permissions import (
    read_role,
    require,
    require_all_tasks,
    require_authenticated,
    require_outside,
    require_schedule,
    require_task,
)
from swallowtail.app.core.security.roles import Act, Role
from swallowtail.app.core.security.visibility import list_allowed, visible
from swallowtail.app.core.states import TaskStatus


@dataclass(frozen=True, slots=True)
class AuthorizedReads:
    """The reads of one transaction for one actor. Every method raises as `permissions.require` does."""

    session: Session
    actor: Actor
    #: Whether the broker did not respond last time; part of why tasks wait.
    is_broker_away: bool = False

    @property
    def view(self) -> FieldMask:
        """The field mask of the actor."""
        return view_of(self.actor)

    def instances(self, *, limit: int, cursor: str | None = None) -> tuple[list[InstanceView], str | None]:
        """Return the actor's workspaces by id, and the cursor of the next page."""
        return rows.list_instances(self.session, limit=limit, cursor=cursor, among=visible(self.actor))

    def instance(self, instance_id: str) -> InstanceView:
        """Return one workspace."""
        require(self.session, self.actor, Act.READ, instance_id)
        return rows.read_instance(self.session, instance_id)

    def allowed_acts(self, instance_id: str) -> list[str]:
        """Return the acts that the actor may do in an instance, for menus."""
        return sorted(list_allowed(self.session, self.actor, instance_id))

    def role(self, instance_id: str) -> Role | None:
        """Return the actor's role in an instance."""
        require(self.session, self.actor, Act.READ, instance_id)
        return read_role(self.session, self.actor, instance_id)

    def snapshot_rows(self, instance_id: str, limits: SnapshotLimits) -> SnapshotRows:
        """Return the rows of a snapshot; `view` masks them."""
        require(self.session, self.actor, Act.READ, instance_id)
        return read_snapshot_rows(self.session, instance_id, limits, self.view.task_id)

    def head(self, instance_id: str) -> Head:
        """Return the head of an instance's log."""
        require(self.session, self.actor, Act.READ, instance_id)
        head = read_head(self.session, instance_id)
        if head is None:
            raise NotFound("there is no such instance", field="instance_id")
        return head

    def events(self, instance_id: str, after: int, limit: int, task_id: str | None = None) -> list[EventRecord]:
        """Return up to `limit` events with numbers above `after`; of one task only if `task_id` is set."""
        require(self.session, self.actor, Act.READ, instance_id)
        if self.actor.task_id is not None and task_id not in (None, self.actor.task_id):
            raise NotFound("there is no such task", field="task_id")
        events = read_events(self.session, instance_id, after, limit, task_id or self.actor.task_id)
        return [self.view.project_event(event) for event in events]

    def tasks(
        self,
        instance_id: str,
        *,
        limit: int,
        cursor: str | None = None,
        status: TaskStatus | None = None,
        kind: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        text: str | None = None,
    ) -> tuple[list[TaskSummary], str | None]:
        """Return summaries of an instance's tasks, the latest first, and the cursor of the next page."""
        require(self.session, self.actor, Act.READ, instance_id)
        in_titles = self.actor.fields is None or "title" in self.actor.fields
        tasks, next_cursor = rows.list_tasks(
            self.session,
            instance_id,
            limit=limit,
            cursor=cursor,
            status=status,
            kind=kind,
            since=since,
            until=until,
            search=None if text is None else TextSearch(text, in_titles),
            task_id=self.actor.task_id,
        )
        add_waits(self.session, tasks, is_broker_away=self.is_broker_away)
        return [self.view.project(task) for task in tasks], next_cursor

    def task(self, task_id: str) -> TaskView:
        """Return one task."""
        require_task(self.session, self.actor, Act.READ, task_id)
        task = rows.read_task(self.session, task_id)
        add_waits(self.session, [task], is_broker_away=self.is_broker_away)
        return self.view.project(task)

    def steps(self, task_id: str) -> list[StepSummary]:
        """Return summaries of a task's steps, in the order in which they were first started."""
        require_task(self.session, self.actor, Act.READ, task_id)
        return [self.view.project(step) for step in rows.list_steps(self.session, task_id)]

    def step(self, task_id: str, step_id: str) -> StepView:
        """Return one step of a task."""
        require_task(self.session, self.actor, Act.READ, task_id)
        return self.view.project(rows.read_step(self.session, task_id, step_id))

    def artifact(self, artifact_id: str) -> ArtifactContent:
        """Return a large input or output of a task, or input of a schedule."""
        missing = NotFound("there is no such artifact", field="artifact_id")
        require_authenticated(self.actor)
        fields = self.actor.fields
        its_fields = {"input"} if is_input(self.session, artifact_id) else {"output", "result"}
        if fields is not None and not fields & its_fields:
            raise missing
        try:
            task_id, schedule_id = find_owner(self.session, artifact_id)
            if task_id is not None:
                require_task(self.session, self.actor, Act.READ, task_id)
            else:
                require_schedule(self.session, self.actor, Act.READ, str(schedule_id))
        except NotFound:
            raise missing from None
        return read_artifact(self.session, artifact_id)

    def schedules(
        self, instance_id: str, *, limit: int, cursor: str | None = None
    ) -> tuple[list[ScheduleSummary], str | None]:
        """Return summaries of an instance's schedules, by name, and the cursor of the next page."""
        require(self.session, self.actor, Act.READ, instance_id)
        require_all_tasks(self.actor)
        return rows.list_schedules(self.session, instance_id, limit=limit, cursor=cursor)

    def schedule(self, schedule_id: str) -> ScheduleView:
        """Return one schedule."""
        require_schedule(self.session, self.actor, Act.READ, schedule_id)
        schedule, fields = rows.read_schedule(self.session, schedule_id), self.actor.fields
        return {**schedule, "input": schedule["input"] if fields is None or "input" in fields else None}

    def slots(self, schedule_id: str, limit: int) -> list[SlotView]:
        """Return a schedule's latest slots, the latest first."""
        require_schedule(self.session, self.actor, Act.READ, schedule_id)
        return rows.list_slots(self.session, schedule_id, limit)

    def agents(self) -> list[AgentView]:
        """Return every agent's card, by kind."""
        require_outside(self.actor, Act.READ_AGENTS)
        return rows.list_agents(self.session)

    def kind_warnings(self, agents: Iterable[AgentView]) -> dict[str, str | None]:
        """Return a warning for each kind that no live worker knows."""
        live = live_kinds(self.session)
        return {agent["kind"]: find_kind_warning(self.session, agent["kind"], live) for agent in agents}

    def agent(self, kind: str) -> AgentView:
        """Return one agent's card."""
        require_outside(self.actor, Act.READ_AGENTS)
        return rows.read_agent(self.session, kind)

    def audit(
        self, scope: str, which: AuditFilter, *, limit: int, cursor: str | None = None
    ) -> tuple[list[AuditEntryView], str | None]:
        """Return entries of the audit log of an instance or of SYSTEM_SCOPE, the latest first, and the next cursor."""
        if scope == SYSTEM_SCOPE:
            require_outside(self.actor, Act.READ_SYSTEM_AUDIT)
        else:
            require(self.session, self.actor, Act.READ_AUDIT, scope)
        return list_entries(self.session, scope, which, limit=limit, cursor=cursor)
