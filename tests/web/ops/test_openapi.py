"""The OpenAPI document is valid and complete, and real responses match its schemas."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate
from referencing import Registry, Resource

from swallowtail.app.web.api.schemas.responses import Problem
from swallowtail.app.web.http.problem_details import KINDS
from tests.web.app_fixture import SUBMISSION, Json, WebApp, expect_json, expect_problem

#: Endpoints that are not part of the API.
OUTSIDE = {"static", "openapi.spec", "api_docs"}


@pytest.fixture
def document(web_app: WebApp) -> Json:
    return expect_json(web_app.client.get("/api/openapi.json"))


def _operations(document: Json) -> Iterator[tuple[str, str, Json]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def _follow(document: Json, node: Json) -> Json:
    while "$ref" in node:
        result: Any = document
        for part in node["$ref"].removeprefix("#/").split("/"):
            result = result[part]
        node = result
    return node


def test_the_document_is_valid_openapi_3_1(document: Json) -> None:
    assert document["openapi"].startswith("3.1.")
    validate(document)


def test_every_route_is_in_the_document_and_nothing_else(web_app: WebApp, document: Json) -> None:
    served = set()
    for rule in web_app.app.url_map.iter_rules():
        if rule.endpoint in OUTSIDE or rule.endpoint.startswith(("pages.", "login.")):
            continue
        path = re.sub(r"<([^<:]+:)?([^>]+)>", r"{\2}", rule.rule)
        served |= {(method, path) for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}}
    assert {(method, path) for method, path, _ in _operations(document)} == served


def test_every_operation_documents_its_purpose_input_and_responses(document: Json) -> None:
    names = [operation["operationId"] for _, _, operation in _operations(document)]
    assert len(set(names)) == len(names)
    for method, path, operation in _operations(document):
        where = f"{method} {path}"
        assert operation["summary"], where
        assert operation["tags"], where
        for parameter in operation["parameters"]:
            assert parameter["description"], where
            assert "null" not in str(parameter["schema"]), where
        assert {p["name"] for p in operation["parameters"] if p["in"] == "path"} == set(re.findall(r"{(\w+)}", path))
        responses = {status: _follow(document, response) for status, response in operation["responses"].items()}
        assert any(status.startswith("2") for status in responses), where
        assert {"500", "503"} <= set(responses), where
        for status, response in responses.items():
            assert response["description"], where
            if status != "204":
                assert response["content"], where
        if "requestBody" in operation:
            assert operation["requestBody"]["content"]["application/json"]["example"], where
            assert {"400", "413", "415", "422"} <= set(responses), where


def test_every_field_has_a_description(document: Json) -> None:
    silent = [
        f"{name}.{field}"
        for name, schema in document["components"]["schemas"].items()
        for field, inner in schema.get("properties", {}).items()
        if not inner.get("description")
    ]
    assert silent == []


def test_every_problem_has_an_example_of_its_shape(document: Json) -> None:
    body: dict[str, Json] = {}
    for response in document["components"]["responses"].values():
        for media_type, media in response["content"].items():
            assert media_type == "application/problem+json"
            body |= {code: example["value"] for code, example in media["examples"].items()}
    assert set(body) == set(KINDS)
    for example in body.values():
        Problem.model_validate(example)


def test_every_reference_leads_somewhere_and_nothing_is_left_over(document: Json) -> None:
    used = set(re.findall(r"'#/components/schemas/([^']+)'", str(document)))
    assert used == set(document["components"]["schemas"])


class DocumentChecker:
    """Checks real responses against the document."""

    def __init__(self, document: Json) -> None:
        self.document = document
        self.registry = Registry().with_resource("", Resource.opaque(document))

    def check(self, operation_id: str, answer: Any) -> Json:
        """Check a response's status, media type and body; return the body."""
        operation = next(o for _, _, o in _operations(self.document) if o["operationId"] == operation_id)
        reported = _follow(self.document, operation["responses"][str(answer.status_code)])
        schema = reported["content"][answer.mimetype]["schema"]
        bundle = {"$ref": schema["$ref"], "components": self.document["components"]}
        Draft202012Validator(bundle, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(answer.json)
        body: Json = answer.json
        return body


def test_the_responses_have_the_schemas_that_the_document_describes(web_app: WebApp, document: Json) -> None:
    checker = DocumentChecker(document)
    checker.check("create_instance", web_app.post("/instances", {"name": "B", "id": "b"}))
    task_id = checker.check("submit_task", web_app.post("/instances/acme/tasks", SUBMISSION))["task"]["id"]
    checker.check("show_task", web_app.get(f"/tasks/{task_id}"))
    web_app.perform(task_id, fail=True)
    checker.check("show_task", web_app.get(f"/tasks/{task_id}"))
    (step,) = checker.check("list_steps", web_app.get(f"/tasks/{task_id}/steps"))["items"]
    checker.check("show_step", web_app.get(f"/tasks/{task_id}/steps/{step['step_id']}"))
    checker.check("retry_task", web_app.post(f"/tasks/{task_id}/retry"))
    checker.check("cancel_task", web_app.post(f"/tasks/{task_id}/cancel"))
    checker.check("list_tasks", web_app.get("/instances/acme/tasks"))
    checker.check("list_events", web_app.get("/instances/acme/events"))
    checker.check("show_snapshot", web_app.get("/instances/acme/snapshot"))
    checker.check("list_instances", web_app.get("/instances"))
    checker.check("show_instance", web_app.get("/instances/acme"))
    checker.check("list_agents", web_app.get("/agents"))
    checker.check("show_agent", web_app.get("/agents/brief"))
    expected = {"name": "Daily", "kind": "brief", "input": {"text": "a"}, "interval_seconds": 60}
    schedule_id = checker.check("add_schedule", web_app.post("/instances/acme/schedules", expected))["id"]
    checker.check("show_schedule", web_app.get(f"/schedules/{schedule_id}"))
    checker.check("list_schedules", web_app.get("/instances/acme/schedules"))
    checker.check("list_slots", web_app.get(f"/schedules/{schedule_id}/slots"))
    checker.check("pause_schedule", web_app.post(f"/schedules/{schedule_id}/pause"))
    checker.check("resume_schedule", web_app.post(f"/schedules/{schedule_id}/resume"))
    checker.check("create_user", web_app.post("/users", {"name": "bob", "password": "correct horse battery"}))
    checker.check("show_user", web_app.get("/users/bob"))
    checker.check("list_users", web_app.get("/users"))
    checker.check("set_member", web_app.client.put("/api/v1/instances/acme/members/bob", json={"role": "viewer"}))
    checker.check("list_members", web_app.get("/instances/acme/members"))
    checker.check("mint_front_end_token", web_app.post("/instances/acme/front-end-tokens", {"name": "shop"}))
    checker.check("list_front_end_tokens", web_app.get("/instances/acme/front-end-tokens"))
    checker.check("replace_policy", web_app.client.put("/api/v1/instances/acme/policy", json={"event_days": 30}))
    checker.check("read_policy", web_app.get("/instances/acme/policy"))
    checker.check("list_audit", web_app.get("/instances/acme/audit"))
    checker.check("whoami", web_app.get("/auth/whoami"))
    checker.check("show_health", web_app.client.get("/healthz"))
    checker.check("show_readiness", web_app.client.get("/readyz"))


def test_the_errors_have_the_schemas_that_the_document_describes(web_app: WebApp, document: Json) -> None:
    checker = DocumentChecker(document)
    checker.check("create_instance", web_app.post("/instances", {"name": "B", "id": "acme"}))
    checker.check("create_instance", web_app.post("/instances", {}))
    checker.check(
        "submit_task", web_app.client.post("/api/v1/instances/acme/tasks", data=b"{", content_type="application/json")
    )
    checker.check("submit_task", web_app.client.post("/api/v1/instances/acme/tasks", data=b"{}"))
    checker.check("submit_task", web_app.post("/instances/nobody/tasks", SUBMISSION))
    checker.check("list_events", web_app.get("/instances/acme/events?since=5"))


#: Expected results of the examples in the document, which are well-formed.
OUTCOMES: dict[str, tuple[int, str | None, str | None]] = {
    "replace_policy": (200, None, None),
    # An unknown agent, an existing instance.
    "submit_task": (422, "invalid_input", "kind"),
    "add_schedule": (422, "invalid_input", "kind"),
    "create_instance": (409, "conflict", "id"),
    # Callers of an open server have neither tokens nor a password.
    "login": (401, "unauthenticated", None),
    "refresh": (401, "unauthenticated", None),
    "change_password": (403, "forbidden", None),
    "mint_token": (403, "forbidden", None),
    "create_user": (201, None, None),
    "mint_front_end_token": (201, None, None),
    "set_member": (404, "not_found", "name"),
    "set_password": (404, "not_found", "name"),
}


def test_the_examples_can_be_sent(web_app: WebApp, document: Json) -> None:
    for method, path, operation in _operations(document):
        if "requestBody" in operation and "retry" not in path:
            example = operation["requestBody"]["content"]["application/json"]["example"]
            address = path.replace("{instance_id}", "acme").replace("{user_name}", "nobody")
            response = web_app.client.open(address, method=method, json=example)
            status, code, field = OUTCOMES[operation["operationId"]]
            if code is None:
                expect_json(response, status)
            else:
                expect_problem(response, status, code, field)


def test_the_page_describes_every_operation_and_problem_and_loads_nothing_from_elsewhere(
    web_app: WebApp, document: Json
) -> None:
    response = web_app.client.get("/api/docs")
    assert (response.status_code, response.mimetype) == (200, "text/html")
    for _, path, operation in _operations(document):
        assert f'id="{operation["operationId"]}"' in response.text
        assert path in response.text.replace("<wbr>", "")
    for code in KINDS:
        assert f'id="problem-{code}"' in response.text
    loaded = re.findall(r'(?:src|href)="([^"]*)"', response.text)
    assert all(address.startswith(("/", "#")) and not address.startswith("//") for address in loaded)
    for address in loaded:
        if address.startswith("/static/"):
            assert web_app.fetch(address).status_code == 200, address
    anchors = {address[1:] for address in loaded if address.startswith("#")}
    assert anchors <= set(re.findall(r'id="([^"]*)"', response.text))
