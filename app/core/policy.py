"""What an instance has decided about its payloads, and the rules that come of it for what is told of a task.

Beside the road: whoever records or shows something asks for its rules here. They come from the settings, the
instance's policy and the agent's schemas, and are remembered for `policy_seconds`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.core.models import Agent, Task
from app.core.models_privacy import InstancePolicy
from app.core.redaction import Rules, normal, schema_names
from app.core.settings import Settings
from app.core.unreadable import is_damaged, is_unreadable

#: Key in `Session.info`.
POLICIES = "policies"
#: Rules that are remembered at most, of instances and agents, and of tasks.
_MOST = 2000


class Policies:
    """One process's memory of policies and schemas."""

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
        """Return what is hidden in all of an agent's payloads in an instance."""
        moment = self._clock()
        with self._lock:
            known = self._known.get((instance_id, kind))
        if known is not None and moment < known[0]:
            return known[1]
        rules = self._read(session, instance_id, kind)
        with self._lock:
            if known is not None and known[1] == rules:
                rules = known[1]
            _remember(self._known, (instance_id, kind), (moment + self._seconds, rules))
        return rules

    def task_rules(self, session: Session, task: Task) -> Rules:
        """Return what is hidden in all that is told of a task: also the values of its secret fields, wherever."""
        rules = self.rules(session, task.instance_id, task.kind)
        with self._lock:
            known = self._tasks.get(task.id)
        if known is not None and known[0] is rules:
            return known[1]
        try:
            given = task.input
        except Exception as fault:
            if not is_unreadable(fault):
                raise
            # Nobody can tell what it says, and neither can a run: there is nothing to hide, and nothing to remember.
            return rules
        own = rules.hiding(given)
        if is_damaged(given):
            return own
        with self._lock:
            _remember(self._tasks, task.id, (rules, own))
        return own

    def forget(self) -> None:
        """Look again at the next question: a policy was changed here."""
        with self._lock:
            self._known.clear()
            self._tasks.clear()

    def _read(self, session: Session, instance_id: str, kind: str) -> Rules:
        policy = session.execute(
            select(InstancePolicy.secret_fields, InstancePolicy.hide_emails).where(
                InstancePolicy.instance_id == instance_id
            )
        ).one_or_none()
        schemas = session.execute(
            select(Agent.input_schema, Agent.output_schema).where(Agent.kind == kind)
        ).one_or_none()
        marked, whole = schema_names(schema for schema in schemas or () if schema)
        named = {normal(name) for name in (policy.secret_fields or ())} if policy is not None else set()
        emails = self._emails if policy is None or policy.hide_emails is None else policy.hide_emails
        return Rules((self._names | marked | named) - {""}, emails, all=whole, most_values=self._most)


def rules_for(session: Session, instance_id: str, kind: str) -> Rules:
    """Return what is hidden in all of an agent's payloads in an instance, by the memory of the session's database."""
    policies: Policies | None = session.info.get(POLICIES)
    return Rules() if policies is None else policies.rules(session, instance_id, kind)


def rules_of(session: Session, task: Task) -> Rules:
    """Return what is hidden in all that is told of a task."""
    policies: Policies | None = session.info.get(POLICIES)
    return Rules() if policies is None else policies.task_rules(session, task)


def _remember(memory: dict[Any, Any], key: Any, value: Any) -> None:
    memory.pop(key, None)
    memory[key] = value
    if len(memory) > _MOST:
        del memory[next(iter(memory))]
