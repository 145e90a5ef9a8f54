"""The client classes where callers authenticate: they show and renew tokens, and follow skips."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from swallowtail.app.core.errors import Unauthenticated
from tests.clients.subjects import SUBJECTS, Closing
from tests.harness.deployment import Deployment
from tests.harness.received_events import Wire
from tests.harness.waiting import wait_until
from tests.journey.authenticated_deployment import GUARDED, Tenants
from tests.journey.event_writer import Author

pytestmark = pytest.mark.journey


@pytest.mark.long
@pytest.mark.parametrize("kind", SUBJECTS)
def test_a_client_that_is_shown_one_task_stays_through_its_tokens_end(
    kind: str, new_deployment: Callable[..., Deployment], tmp_path: Path
) -> None:
    deployment = new_deployment(env={**GUARDED, "token_warning": 3600, "jwt_leeway": 0, "lease_seconds": 300})
    web = deployment.start_web()
    author, tenants = Author(deployment), Tenants(deployment)
    task_id = author.submit()
    first = tenants.page(author.instance_id, task_id=task_id, lifetime=15)
    second = tenants.page(author.instance_id, task_id=task_id)
    file = tmp_path / "token"
    file.write_text(first, encoding="utf-8")
    with Closing() as subjects:
        subject = subjects.add(kind, web.url, file)
        # It was warned as soon as it came, and asked for another token, which was the same.
        file.write_text(second, encoding="utf-8")
        subject.subscribe(author.instance_id, snapshot=True)
        subject.wait_until_live()
        author.play()
        claim = author.claim(task_id)
        author.play()
        author.step(claim, "only")
        author.play()
        (snapshot,) = subject.inbox.payloads("snapshot")
        assert [task["id"] for task in snapshot["tasks"]] == [task_id]
        own = shown(author, task_id, snapshot["head"])
        subject.inbox.wait_until(lambda: subject.inbox.events() == own, "it has its task's events and no others")
        wait_until(lambda: has_ended(tenants, first), "the first token ends")
        deployment.runtime().runs.complete(claim, {"done": True})
        subject.inbox.wait_for_status(task_id, "COMPLETED")
        # The second is refused after a restart, and it asks for a third.
        third = tenants.page(author.instance_id, task_id=task_id)
        web.terminate()
        tenants.revoke(second)
        web.start()
        file.write_text(third, encoding="utf-8")
        subject.wait_until_live()
    assert subject.inbox.events() == shown(author, task_id, snapshot["head"])


def shown(author: Author, task_id: str, head: int) -> list[Wire]:
    return [event for event in author.events if event["task_id"] == task_id and event["seq"] > head]


def has_ended(tenants: Tenants, token: str) -> bool:
    try:
        tenants.tokens.read(token)
    except Unauthenticated:
        return True
    return False
