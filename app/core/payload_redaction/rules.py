"""Combines instance policies, settings and agents' schemas into redaction rules, cached for `policy_seconds`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any

import orjson
from sqlalchemy import literal, select
from sqlalchemy.orm import Session

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.payload_redaction.input_secrets import add_input_secrets, describe
from swallowtail.app.core.privacy.redaction_rules import Rules, normal, schema_names
from swallowtail.app.core.tables.artifacts import Artifact
from swallowtail.app.core.tables.column_encryption import decrypt_bytes, keyring_of
from swallowtail.app.core.tables.instances import InstancePolicy
from swallowtail.app.core.tables.schedules import Schedule
from swallowtail.app.core.tables.system import Agent
from swallowtail.app.core.tables.tasks import Task
from swallowtail.app.core.tables.unreadable import Unreadable

#: Key in `Session.info`.
POLICIES = "policies"
#: Most cached rules of agents in instances, and of tasks.
_MOST = 2000


class Policies:
    """The cache of rules of one process."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = settings.policy_seconds
        self._clock = clock
        self._names = frozenset(filter(None, map(normal, settings.secret_fields.split(","))))
        self._emails = settings.hide_emails
        self._most = settings.max_hidden_values
        self._lock = threading.Lock()
        self._known: dict[tuple[str, str], tuple[float, Rules]] = {}
        self._tasks: dict[str, tuple[Rules, Rules]] = {}

    @property
    def general(self) -> Rules:
        """The rules of the settings alone."""
        return Rules(self._names, self._emails, most_values=self._most)

    def rules(self, session: Session, instance_id: str, kind: str) -> Rules:
        """Return the rules of an agent in an instance."""
        return self.rules_by_kind(session, instance_id, {kind})[kind]

    def rules_by_kind(self, session: Session, instance_id: str, kinds: Collection[str]) -> dict[str, Rules]:
        """Return the rules of several agents in an instance, with one query at most."""
        moment = self._clock()
        with self._lock:
            known = {kind: self._known.get((instance_id, kind)) for kind in kinds}
        current = {kind: entry[1] for kind, entry in known.items() if entry is not None and moment < entry[0]}
        missing = [kind for kind in kinds if kind not in current]
        if not missing:
            return current
        fresh = self._read(session, instance_id, missing)
        with self._lock:
            for kind, rules in fresh.items():
                entry = known[kind]
                current[kind] = entry[1] if entry is not None and entry[1] == rules else rules
                _remember(self._known, (instance_id, kind), (moment + self._seconds, current[kind]))
        return current

    def task_rules(self, session: Session, task: Task) -> Rules:
        """Return the rules of a task, which also hide the values of its secret fields everywhere."""
        rules = self.rules(session, task.instance_id, task.kind)
        return self._find_remembered(task.id, rules) or self._add_secrets(session, {task.id: rules})[task.id]

    def task_rules_among(self, session: Session, instance_id: str, tasks: Sequence[Task]) -> dict[str, Rules]:
        """Return the rules of tasks of one instance by id. Inputs are read only if needed."""
        by_kind = self.rules_by_kind(session, instance_id, {task.kind for task in tasks})
        known = {task.id: self._find_remembered(task.id, by_kind[task.kind]) for task in tasks}
        missing = {task.id: by_kind[task.kind] for task in tasks if known[task.id] is None}
        stored = {task_id: rules for task_id, rules in known.items() if rules is not None}
        return stored | self._add_secrets(session, missing)

    def remember(self, task: Task, rules: Rules, own: Rules) -> None:
        """Cache the rules `own` of a task that is being stored, made of the agent's `rules`."""
        with self._lock:
            _remember(self._tasks, task.id, (rules, own))

    def _find_remembered(self, task_id: str, rules: Rules) -> Rules | None:
        with self._lock:
            known = self._tasks.get(task_id)
        return known[1] if known is not None and known[0] is rules else None

    def _add_secrets(self, session: Session, rules_by_task: dict[str, Rules]) -> dict[str, Rules]:
        complete = add_input_secrets(session, rules_by_task)
        with self._lock:
            for task_id, own in complete.items():
                _remember(self._tasks, task_id, (rules_by_task[task_id], own))
        return rules_by_task | complete

    def forget(self) -> None:
        """Clear the cache after a change of a policy."""
        with self._lock:
            self._known.clear()
            self._tasks.clear()

    def _read(self, session: Session, instance_id: str, kinds: Collection[str]) -> dict[str, Rules]:
        # One row at least, even without a policy and without cards.
        anchor = select(literal(1).label("one")).subquery()
        own = (InstancePolicy.secret_fields, InstancePolicy.hide_emails)
        query = select(*own, Agent.kind, Agent.input_schema, Agent.output_schema).select_from(anchor)
        query = query.outerjoin(InstancePolicy, InstancePolicy.instance_id == instance_id)
        rows = session.execute(query.outerjoin(Agent, Agent.kind.in_(kinds))).all()
        policy = rows[0]
        schemas = {row.kind: (row.input_schema, row.output_schema) for row in rows}
        named = {normal(name) for name in (policy.secret_fields or ())}
        emails = self._emails if policy.hide_emails is None else policy.hide_emails
        rules = {}
        for kind in kinds:
            marked, whole = schema_names(schema for schema in schemas.get(kind, ()) if schema)
            rules[kind] = Rules((self._names | marked | named) - {""}, emails, all=whole, most_values=self._most)
        return rules


def whole_input(session: Session, row: Task | Schedule) -> Any:
    """Return an input as it was submitted, from its row or artifact. Raises Unreadable, KeyMissing, Tampered."""
    return row.input if row.input_artifact_id is None else _read_artifact(session, row.input_artifact_id)


def _read_artifact(session: Session, artifact_id: str) -> Any:
    row = session.get(Artifact, artifact_id)
    if row is None:
        raise Unreadable(f"artifact/{artifact_id} is gone")
    return orjson.loads(decrypt_bytes(keyring_of(session), row.id, row.content, row.key_id))


def _policies(session: Session) -> Policies:
    policies: Policies = session.info[POLICIES]
    return policies


def rules_for(session: Session, instance_id: str, kind: str) -> Rules:
    """Return the rules of an agent in an instance, from the cache of the session's database."""
    return _policies(session).rules(session, instance_id, kind)


def rules_of(session: Session, task: Task) -> Rules:
    """Return the rules of a task."""
    return _policies(session).task_rules(session, task)


def remember_new(session: Session, task: Task, rules: Rules, own: Rules) -> Any:
    """Cache the rules `own` of a new task, and return the content of its column `secrets`."""
    _policies(session).remember(task, rules, own)
    return describe(rules, own)


def rules_among(session: Session, instance_id: str, tasks: Sequence[Task]) -> dict[str, Rules]:
    """Return the rules of tasks of one instance by id. Their inputs need not be loaded."""
    return _policies(session).task_rules_among(session, instance_id, tasks)


def _remember(memory: dict[Any, Any], key: Any, value: Any) -> None:
    memory.pop(key, None)
    memory[key] = value
    if len(memory) > _MOST:
        del memory[next(iter(memory))]
