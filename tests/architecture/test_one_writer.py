"""Only the ledger writes task, step, event and outbox rows; each control adds one write elsewhere."""

from __future__ import annotations

import pytest

from tests.architecture import one_writer
from tests.architecture.source_tree import added, read_tree

_IMPORT = (
    "from sqlalchemy import delete, insert, select, text, update\n"
    "from swallowtail.app.core.tables import tasks as models\n"
    "from swallowtail.app.core.tables.tasks import Event, Outbox, Step, Task\n"
)


def test_rows_of_tasks_steps_events_and_outbox_are_written_in_the_ledger() -> None:
    assert one_writer.find_writes(read_tree()) == []


def test_state_transitions_are_used_in_the_ledger() -> None:
    assert one_writer.find_uses_of_transitions(read_tree()) == []


def test_every_listed_writer_outside_the_ledger_exists() -> None:
    assert [path for path in one_writer.OTHER_WRITERS if path not in read_tree().texts] == []


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("app/web/pages/views.py", "session.execute(update(Task).values(status='failed'))"),
        ("app/web/pages/views.py", "session.execute(insert(models.Event), rows)"),
        ("app/web/api/tasks.py", "session.add(Step(id=1))"),
        ("app/web/api/tasks.py", "change = update(model)"),
        ("app/core/services/tasks.py", "session.execute(delete(Outbox))"),
        ("app/core/services/tasks.py", "def rename(task: Task | None) -> None:\n    task.message = 'new'"),
        ("app/core/identity/users.py", "def f(s):\n    task = s.get(Task, 1)\n    task.progress += 1"),
        ("app/core/queries/rows.py", "def f(s):\n    for row in s.scalars(select(Step)):\n        row.error = None"),
        ("app/core/queries/rows.py", "def f(s):\n    row = s.get(Task, 1)\n    s.delete(row)"),
        ("app/core/queries/rows.py", "def f(row: Event):\n    same = row\n    same.data['a'] = 1"),
        ("app/core/queries/rows.py", "def load(s) -> Task: ...\n\ndef f(s):\n    t = load(s)\n    t.result = 1"),
        ("app/core/maintenance/sweeper.py", "session.execute(text('UPDATE task SET status = 1'))"),
        ("workers/run_task.py", "session.execute(text('delete from outbox where id = 1'))"),
        ("scripts/cli/commands/tasks.py", "session.merge(Task(id=1))"),
        ("app/web/pages/views.py", "session.query(Task).filter(Task.id == 1).update({'status': 1})"),
        ("app/web/pages/views.py", "session.execute(Task.__table__.delete())"),
        ("app/web/pages/views.py", "session.execute(insert(Step.__table__))"),
        ("app/web/pages/views.py", "session.bulk_insert_mappings(Event, rows)"),
        (
            "app/web/pages/views.py",
            "from sqlalchemy.dialects.postgresql import insert as upsert\nsession.execute(upsert(Task))",
        ),
        # The table, the query or the row is named before, in an attribute, or not at all.
        ("app/web/pages/views.py", "def f(s):\n    t = Task.__table__\n    s.execute(t.update())"),
        ("app/web/pages/views.py", "def f(s):\n    s.execute(Base.metadata.tables['task'].update())"),
        (
            "app/core/queries/rows.py",
            "def f(s):\n    q = select(Task)\n    for t in s.scalars(q):\n        t.status = 1",
        ),
        (
            "app/core/queries/rows.py",
            "def f(s):\n    if s:\n        q = select(Task)\n    for t in s.scalars(q.limit(1)):\n        t.a = 1",
        ),
        ("app/core/queries/rows.py", "def f(self, s):\n    self.task = s.get(Task, 1)\n    self.task.status = 1"),
        (
            "app/core/queries/rows.py",
            "class A:\n    def f(self, s):\n        self.t = s.get(Task, 1)\n\n    def g(self):\n        self.t.a = 1",
        ),
        ("app/core/queries/rows.py", "class A:\n    t: Task\n\n    def g(self):\n        self.t.a = 1"),
        ("app/core/queries/rows.py", "def f(s):\n    s.get(Task, 1).status = 1"),
        ("app/core/queries/rows.py", "def f(s):\n    setattr(s.get(Task, 1), 'status', 1)"),
        ("app/core/queries/rows.py", "def f(t: 'Task | None'):\n    t.status = 1"),
    ],
)
def test_a_write_outside_the_ledger_is_found(path: str, code: str) -> None:
    found = added(one_writer.find_writes, path, _IMPORT + code)
    assert [wrong.split(":")[0] for wrong in found] == [path]


@pytest.mark.parametrize(
    "code",
    [
        "from swallowtail.app.core.ledger import transitions\ntransitions.move(change, task, 'failed')",
        "from swallowtail.app.core.ledger.transitions import move",
        "import swallowtail.app.core.ledger.transitions as t",
        "from swallowtail.app.core import ledger\nledger.transitions.move(change, task, 'failed')",
    ],
)
def test_a_use_of_the_transitions_outside_the_ledger_is_found(code: str) -> None:
    assert len(added(one_writer.find_uses_of_transitions, "app/web/socketio/handlers.py", code)) == 1
