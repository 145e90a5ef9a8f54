"""`swallowtail audit` lists entries, and reports a broken chain by its exit code."""

from __future__ import annotations

import json
from functools import partial

import pytest
from sqlalchemy import text

from swallowtail.app.core.audit.writer import AuditRecord, append
from swallowtail.app.core.events import now
from swallowtail.app.core.security.actors import OPEN, Caller
from swallowtail.scripts.cli.exit_codes import ExitCode
from tests.harness.deployment import Deployment

pytestmark = pytest.mark.journey


@pytest.mark.long
def test_a_log_is_listed_and_verified_and_a_change_is_detected(deployment: Deployment) -> None:
    deployment.start_web()
    rt = deployment.runtime()
    for number in range(3):
        record = AuditRecord("demo", "task.cancel", "task", f"t{number}\x1b[31m", {})
        rt.db.run(partial(append, caller=Caller(OPEN, "rest", "192.0.2.1"), records=[record], at=now()))
    listed = [json.loads(line) for line in deployment.cli("audit", "list", "-i", "demo", "--json").stdout.splitlines()]
    assert [entry["number"] for entry in listed] == [3, 2, 1]
    table = deployment.cli("audit", "list", "-i", "demo", "--limit", "2").stdout
    assert ("task.cancel" in table, "\x1b" in table, "t0" in table) == (True, False, False)
    assert "no entries" in deployment.cli("audit", "list").stdout
    verified = deployment.cli("audit", "verify", "-i", "demo")
    assert verified.stderr == "demo: 3 entries, complete and unchanged\n"
    anchor = verified.stdout.strip()
    assert deployment.cli("audit", "verify", "-i", "demo", "--anchor", anchor).returncode == 0
    with rt.db.write() as session:
        session.execute(text("DROP TRIGGER audit_entry_no_update"))
        session.execute(text("UPDATE audit_entry SET actor_name = 'eve' WHERE number = 2"))
    broken = deployment.cli("audit", "verify", "--all", check=False)
    assert broken.returncode == ExitCode.BROKEN_CHAIN
    assert "demo: entry 2 was changed\n" in broken.stderr
    wrong = deployment.cli("audit", "verify", "--anchor", "soon", check=False)
    assert (wrong.returncode, "NUMBER:HASH" in wrong.stderr) == (2, True)
