"""The clients that watch a campaign on the example brief, one of which loses its connection."""

from __future__ import annotations

from tests.harness.deployment import Deployment
from tests.harness.program import ROOT
from tests.harness.recorder import ResumingRecorder
from tests.harness.waiting import wait_until

BRIEF = ROOT / "examples" / "brief.md"


def _step(key: str, percent: str) -> list[str]:
    return [f"{key} in_progress", f"{key} completed", f"progress {percent}"]


#: Every event of the task, as `harness.inbox.shape` puts it.
CAMPAIGN = [
    "SUBMITTED",
    "QUEUED",
    "IN_PROGRESS",
    *_step("plan", "5"),
    *_step("read_source", "10"),
    *_step("extract_facts", "20"),
    *_step("draft:x:1", "29.4"),
    *_step("draft:linkedin:1", "38.8"),
    *_step("draft:instagram:1", "48.1"),
    *_step("review:1", "57.5"),
    *_step("package", "100"),
    "COMPLETED",
]

#: No worker of a busy machine loses its lease while a test holds the database.
PATIENT = {"lease_seconds": 120}


def drop_on_the_way(deployment: Deployment, client: ResumingRecorder, instance_id: str, urls: list[str]) -> list[int]:
    """Cut the client's connection once at each of these addresses, and go on at it; the numbers it stood at.

    The work stands still while the client is cut off and while it comes back, because the test holds the database. In
    between it goes on by a few events: the client has missed something each time.
    """
    stood_at = []
    hold = deployment.runtime().db.write
    for url in urls:
        with hold():
            head = len(deployment.events(instance_id))
            if head:
                client.wait_for_log(instance_id, head)
            stood_at.append(head)
            client.drop()
        wait_until(lambda seen=head: len(deployment.events(instance_id)) > seen + 2, "the work goes on", every=0.001)  # type: ignore[misc]
        with hold():
            client.resume(url)
    return stood_at
