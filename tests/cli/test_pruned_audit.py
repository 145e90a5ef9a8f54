"""`swallowtail audit verify` accepts a log whose oldest entries were pruned, and reports how many."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from swallowtail.app.core.audit.writer import AuditRecord, append
from swallowtail.app.core.events import now
from swallowtail.app.core.maintenance.audit_cleanup import delete_old_entries
from swallowtail.app.core.security.actors import OPEN, Caller
from swallowtail.scripts.cli.exit_codes import ExitCode
from tests.cli.command_line import open_command_line


def test_a_pruned_log_is_verified_and_reports_the_pruned_entries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWALLOWTAIL_AUDIT_KEEP_DAYS", "10")
    with open_command_line(tmp_path, monkeypatch, audit_keep_days=10) as cli:
        rt = cli.runtime
        for days in (30, 29, 1):
            record = AuditRecord("demo", "task.cancel", "task", f"t{days}", {})
            rt.db.run(partial(append, caller=Caller(OPEN, "rest"), records=[record], at=now() - timedelta(days=days)))
            if days == 30:
                anchor = cli.run("audit", "verify", "-i", "demo").stdout.strip()
        assert delete_old_entries(rt, lambda: True) == 2
        result = cli.run("audit", "verify", "-i", "demo", "--anchor", anchor)
        assert (result.exit_code, result.stderr.splitlines()) == (
            ExitCode.OK,
            [
                "demo: 1 entry, complete and unchanged",
                "demo: the entries up to 2 were pruned",
                "demo: entry 1, the anchor, was pruned, so that it proves nothing",
            ],
        )
        assert [verdict["whole"] for verdict in cli.lines("audit", "verify", "--all")] == [True, True]
        assert [entry["number"] for entry in cli.lines("audit", "list", "-i", "demo")] == [3]
        assert [entry["action"] for entry in cli.lines("audit", "list")] == ["audit.prune"]
