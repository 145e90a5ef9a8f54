"""A database that refuses writes: requests get 503 with the reason, and readiness reports it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from swallowtail.app.core.config.settings import Settings
from tests.harness.refusing_database import SQLITE_REFUSALS, Refusing
from tests.web.app_fixture import WebApp, expect_json, expect_problem


@pytest.fixture
def hasty_desk(settings: Settings) -> Iterator[WebApp]:
    web_app = WebApp(settings.model_copy(update={"database_wait": 0.1}))
    web_app.create_instance("acme")
    yield web_app
    web_app.close()


@pytest.mark.parametrize(("how", "told"), SQLITE_REFUSALS.items())
def test_a_submission_that_cannot_be_stored_may_be_sent_again_later(hasty_desk: WebApp, how: str, told: str) -> None:
    hasty_desk.web.hub.start()
    refusing = Refusing(hasty_desk.rt.db)
    large = {"kind": "brief", "input": {"text": "x" * 20_000}}
    try:
        refusing.how = how
        response = hasty_desk.post("/instances/acme/tasks", large, headers={"Idempotency-Key": "one"})
        assert expect_problem(response, 503, "unavailable")["detail"] == told
        assert response.headers["Retry-After"] == "1"
        body = expect_json(hasty_desk.client.get("/readyz"))
        assert body["components"]["database"] == {
            "status": "degraded",
            "detail": f"can be read, but {told}; tasks wait until it takes writes again",
        }
        refusing.how = None
        hasty_desk.submit()
        assert expect_json(hasty_desk.client.get("/readyz"))["components"]["database"]["status"] == "ok"
    finally:
        hasty_desk.web.hub.stop()
