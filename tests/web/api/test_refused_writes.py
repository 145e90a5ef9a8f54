"""A database that refuses writes: requests get 503 with the reason, and readiness reports it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from swallowtail.app.core.config.settings import Settings
from tests.harness.database.refusing_database import SQLITE_REFUSALS, Refusing
from tests.web.app_fixture import WebApp, expect_json, expect_problem


@pytest.fixture
def impatient_app(settings: Settings) -> Iterator[WebApp]:
    web_app = WebApp(settings.model_copy(update={"database_wait": 0.1}))
    web_app.create_instance("acme")
    yield web_app
    web_app.close()


@pytest.mark.parametrize(("how", "reason"), SQLITE_REFUSALS.items())
def test_a_submission_that_cannot_be_stored_may_be_sent_again_later(
    impatient_app: WebApp, how: str, reason: str
) -> None:
    impatient_app.web.hub.start()
    refusing = Refusing(impatient_app.rt.db)
    large = {"kind": "brief", "input": {"text": "x" * 20_000}}
    try:
        refusing.how = how
        response = impatient_app.post("/instances/acme/tasks", large, headers={"Idempotency-Key": "one"})
        assert expect_problem(response, 503, "unavailable")["detail"] == reason
        assert response.headers["Retry-After"] == "1"
        body = expect_json(impatient_app.client.get("/readyz"))
        assert body["components"]["database"] == {
            "status": "degraded",
            "detail": f"can be read, but {reason}; tasks wait until it takes writes again",
        }
        refusing.how = None
        impatient_app.submit()
        assert expect_json(impatient_app.client.get("/readyz"))["components"]["database"]["status"] == "ok"
    finally:
        impatient_app.web.hub.stop()
