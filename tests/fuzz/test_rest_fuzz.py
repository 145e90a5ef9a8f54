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


def name_things(tenants: Tenants, data: st.DataObject, parameters: dict[str, Any]) -> None:
    """Put names of things that are there into the address, so that the request gets beyond it."""
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
    """The answer is no failure of the server's, and holds nothing of the other tenant but what the request held."""
    label = f"{case.method} {case.formatted_path}"
    assert answer.status_code < 500 or (case.path, answer.status_code) == UNREADY, (label, answer.text[:500])
    assert "Traceback" not in answer.text, label
    received = answer.text + repr(dict(answer.headers))
    assert MARKER not in received, label
    for secret in (tenants.other_task_id, tenants.failed, tenants.other_schedule):
        assert secret not in received or secret in case.formatted_path or secret in repr(case.body), label
    assert answer.status_code != 200 or "other" not in (case.path_parameters or {}).values(), label


def ask_often(tenants: Tenants, who: str, operation: Any, mode: GenerationMode, times: int) -> int:
    """Ask one operation so many times; returns how often it was asked."""
    asked = 0

    @settings(
        max_examples=times, database=None, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(data=st.data())
    def ask(data: st.DataObject) -> None:
        nonlocal asked
        case = data.draw(operation.as_strategy(generation_mode=mode))
        name_things(tenants, data, case.path_parameters or {})
        tenants.caller = tenants.actors[who]
        answer = case.call()
        asked += 1
        check(case, answer, tenants)
        tenants.restore()

    ask()
    return asked


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    "who", ["owner", *(pytest.param(who, marks=pytest.mark.long) for who in ("viewer", "nobody", "page"))]
)
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["valid", "invalid"])
def test_no_request_breaks_the_server_or_shows_another_tenants(
    tenants: Tenants, cases: int, mode: GenerationMode, who: str
) -> None:
    schema: Any = schemathesis.openapi.from_wsgi("/api/openapi.json", tenants.web_app.app)
    # What takes no input cannot be asked wrongly.
    operations = [
        operation
        for result in schema.get_all_operations()
        if (operation := result.ok()) and (mode is GenerationMode.POSITIVE or takes_input(operation))
    ]
    times = max(1, cases // 8 // len(operations))
    assert sum(ask_often(tenants, who, operation, mode, times) for operation in operations) >= len(operations)


def takes_input(operation: Any) -> bool:
    """Whether an operation has a body or any parameter."""
    return bool(operation.body) or any(True for _ in operation.iter_parameters())
