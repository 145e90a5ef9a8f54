"""Generated requests from the OpenAPI document: no 5xx, no traceback, no data of the other tenant."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.generation import GenerationMode

from tests.fuzz.tenants import MARKER, Tenants

#: The hub does not run here, and says so.
UNREADY = ("/readyz", 503)


@pytest.fixture
def tenants(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tenants]:
    tenants = Tenants(tmp_path, monkeypatch)
    yield tenants
    tenants.web_app.close()


def name_existing_objects(tenants: Tenants, data: st.DataObject, parameters: dict[str, Any]) -> None:
    """Put ids of existing objects into the URL, so that the request is not refused for it."""
    known = {
        "instance_id": ["acme", "acme", "acme", "other", "nowhere"],
        "task_id": [tenants.task_id, tenants.other_task_id, tenants.failed],
        "schedule_id": [tenants.schedule, tenants.other_schedule],
        "kind": ["brief"],
    }
    for name in parameters:
        if name in known and data.draw(st.integers(0, 9)) > 1:
            parameters[name] = data.draw(st.sampled_from(known[name]))


def check(case: Any, answer: Any, tenants: Tenants) -> None:
    """Check that a response is no server error and has no data of the other tenant beyond that of the request."""
    label = f"{case.method} {case.formatted_path}"
    assert answer.status_code < 500 or (case.path, answer.status_code) == UNREADY, (label, answer.text[:500])
    assert "Traceback" not in answer.text, label
    received = answer.text + repr(dict(answer.headers))
    assert MARKER not in received, label
    for secret in (tenants.other_task_id, tenants.failed, tenants.other_schedule):
        assert secret not in received or secret in case.formatted_path or secret in repr(case.body), label
    assert answer.status_code != 200 or "other" not in (case.path_parameters or {}).values(), label


def request_repeatedly(tenants: Tenants, who: str, operation: Any, mode: GenerationMode, times: int) -> int:
    """Request one operation so many times; return the number of requests."""
    count = 0

    @settings(
        max_examples=times, database=None, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(data=st.data())
    def send(data: st.DataObject) -> None:
        nonlocal count
        case = data.draw(operation.as_strategy(generation_mode=mode))
        name_existing_objects(tenants, data, case.path_parameters or {})
        tenants.caller = tenants.actors[who]
        answer = case.call()
        count += 1
        check(case, answer, tenants)
        tenants.restore()

    send()
    return count


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    "who", ["owner", *(pytest.param(who, marks=pytest.mark.long) for who in ("viewer", "nobody", "page"))]
)
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["valid", "invalid"])
def test_no_request_breaks_the_server_or_shows_another_tenants(
    tenants: Tenants, cases: int, mode: GenerationMode, who: str
) -> None:
    schema: Any = schemathesis.openapi.from_wsgi("/api/openapi.json", tenants.web_app.app)
    # An operation without input has no invalid requests.
    operations = [
        operation
        for result in schema.get_all_operations()
        if (operation := result.ok()) and (mode is GenerationMode.POSITIVE or has_input(operation))
    ]
    times = max(1, cases // 8 // len(operations))
    assert sum(request_repeatedly(tenants, who, operation, mode, times) for operation in operations) >= len(operations)


def has_input(operation: Any) -> bool:
    """Return whether an operation has a body or any parameter."""
    return bool(operation.body) or any(True for _ in operation.iter_parameters())
