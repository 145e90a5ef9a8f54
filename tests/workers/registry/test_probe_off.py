"""The agent `probe` is available on open deployments, and elsewhere only if it is switched on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from swallowtail.app.core.config.settings import load_settings
from swallowtail.app.core.database.migrate import migrate
from swallowtail.app.core.errors import InvalidInput
from swallowtail.app.core.ledger.agent_cards import PROBE
from swallowtail.app.core.queries.rows import list_agents
from swallowtail.app.core.runtime import Runtime
from swallowtail.app.core.schemas.tasks import NewTask
from swallowtail.app.core.services import tasks as task_service
from swallowtail.workers.registry import catalogue
from tests.harness.database.tables import create_tables
from tests.harness.settings import make_settings

ASKS: list[dict[str, Any]] = [{"auth": "required"}, {"redis_url": "redis://127.0.0.1/0"}, {"host": "0.0.0.0"}]  # noqa: S104
ASKS += [{"allowed_hosts": "app.example.org"}, {"probe": "off"}, {"probe": "off", "auth": "open"}]
HAS: list[dict[str, Any]] = [
    {},
    {"auth": "open", "redis_url": "redis://127.0.0.1/0"},
    {"auth": "required", "probe": "on"},
]


@pytest.mark.parametrize("values", ASKS)
def test_the_probe_is_off_with_required_authentication(values: dict[str, Any]) -> None:
    assert PROBE not in catalogue.load_agents(make_settings(**values))


@pytest.mark.parametrize("values", HAS)
def test_the_probe_is_available_with_open_access_and_by_setting(values: dict[str, Any]) -> None:
    assert PROBE in catalogue.load_agents(make_settings(**values))


def test_a_release_removes_its_card_and_submissions_are_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SWALLOWTAIL_VAR_DIR", str(tmp_path))
    kinds = []
    for mode in ("on", "off"):
        monkeypatch.setenv("SWALLOWTAIL_PROBE", mode)
        settings = load_settings()
        migrate(settings)
        assert catalogue.main() == 0
        runtime = Runtime.build(settings)
        with runtime.db.read() as session:
            kinds.append({card["kind"] for card in list_agents(session)})
        runtime.close()
    assert kinds[0] - kinds[1] == {PROBE}


def test_without_the_probe_a_process_refuses_probe_tasks(tmp_path: Path) -> None:
    runtime = Runtime.build(make_settings(var_dir=tmp_path, auth="required"))
    create_tables(runtime.db.engine)
    with pytest.raises(InvalidInput, match="SWALLOWTAIL_PROBE"):
        task_service.submit(runtime, "demo", NewTask(kind=PROBE))
    runtime.close()
