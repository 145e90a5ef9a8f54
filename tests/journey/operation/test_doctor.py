"""`swallowtail doctor` beside the processes of a deployment."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.harness.deployment import Deployment
from tests.harness.program import clean_environment
from tests.harness.waiting import PATIENCE


def test_a_deployment_that_works_has_no_problems(shared_deployment: Deployment) -> None:
    port = shared_deployment.webs[0].url.rpartition(":")[2]
    command = [sys.executable, "-m", "swallowtail.scripts.cli.main", "doctor", "--json", "--timeout", str(PATIENCE)]
    environment = clean_environment({**shared_deployment.env, "SWALLOWTAIL_PORT": port})
    done = subprocess.run(command, env=environment, cwd=shared_deployment.root, capture_output=True, text=True)
    shown = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row for row in shown if row["status"] == "problem"] == []
    assert (done.returncode, done.stderr) == (0, "")
    assert {row["check"] for row in shown} >= {"settings", "database", "schema", "workers", "Redis", "broker", "web"}
