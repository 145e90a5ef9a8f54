"""A submission that is sent twice is stored once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from werkzeug.test import TestResponse

from swallowtail.app.core.errors import InvalidInput
from swallowtail.app.web.api.schemas.requests import SubmissionHeaders
from tests.web.app_fixture import SUBMISSION, WebApp, expect_json, expect_problem

KEY = {"Idempotency-Key": "order-66"}
PATH = "/api/v1/instances/acme/tasks"


def test_the_same_key_gives_the_same_task(web_app: WebApp) -> None:
    first = web_app.post("/instances/acme/tasks", SUBMISSION, headers=KEY)
    again = web_app.post("/instances/acme/tasks", SUBMISSION, headers=KEY)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json == first.json
    assert again.headers["Location"] == first.headers["Location"]
    assert expect_json(web_app.get("/instances/acme"))["seq"] == 1


def test_a_repeat_returns_the_task_as_it_is_now(web_app: WebApp) -> None:
    task_id = expect_json(web_app.post("/instances/acme/tasks", SUBMISSION, headers=KEY), 201)["task"]["id"]
    web_app.perform(task_id)
    again = expect_json(web_app.post("/instances/acme/tasks", SUBMISSION, headers=KEY))
    assert (again["task"]["id"], again["task"]["status"], again["seq"]) == (task_id, "COMPLETED", 6)


def test_a_key_is_for_one_submission(web_app: WebApp) -> None:
    expect_json(web_app.post("/instances/acme/tasks", SUBMISSION, headers=KEY), 201)
    for change in ({"input": {"text": "Other"}}, {"title": "Other"}, {"expires_in": 5}):
        expect_problem(
            web_app.post("/instances/acme/tasks", SUBMISSION | change, headers=KEY), 409, "conflict", "Idempotency-Key"
        )


def test_a_key_counts_within_its_instance(web_app: WebApp) -> None:
    web_app.create_instance("other")
    first = expect_json(web_app.post("/instances/acme/tasks", SUBMISSION, headers=KEY), 201)
    second = expect_json(web_app.post("/instances/other/tasks", SUBMISSION, headers=KEY), 201)
    assert first["task"]["id"] != second["task"]["id"]


@pytest.mark.parametrize("key", ["", "   ", "a" * 201, "a\x85b", "a\tb"])
def test_a_bad_key_is_refused(web_app: WebApp, key: str) -> None:
    response = web_app.post("/instances/acme/tasks", SUBMISSION, headers={"Idempotency-Key": key})
    expect_problem(response, 422, "invalid_input", "Idempotency-Key")


def test_the_header_is_named_as_it_is_sent() -> None:
    """Its error named the attribute that holds it."""
    with pytest.raises(InvalidInput) as refused:
        SubmissionHeaders.model_validate({"idempotency_key": 1})
    assert refused.value.field == "Idempotency-Key"


def test_many_at_once_with_one_key_make_one_task(web_app: WebApp) -> None:
    def submit(_: int) -> TestResponse:
        return web_app.app.test_client().post(PATH, json=SUBMISSION, headers=KEY)

    with ThreadPoolExecutor(12) as pool:
        responses = list(pool.map(submit, range(36)))
    assert sorted(response.status_code for response in responses) == [200] * 35 + [201]
    assert len({response.json["task"]["id"] for response in responses if response.json}) == 1
    assert expect_json(web_app.get("/instances/acme"))["seq"] == 1
