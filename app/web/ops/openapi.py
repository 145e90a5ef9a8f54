"""Completes the OpenAPI 3.1 document that APIFlask makes of the views, and serves it as a page.

Problems and path parameters are the same for all operations; they are added here.
"""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any, cast

from apiflask import APIFlask
from flask import render_template

from swallowtail.app.web.api.schemas.responses import Problem
from swallowtail.app.web.http.problem_details import KINDS, MEDIA_TYPE, ProblemKind

Node = dict[str, Any]

DESCRIPTION = """\
Submit tasks to an instance and follow their events. Socket.IO clients receive the events live; \
`/api/v1/instances/{instance_id}/events` returns the same events.

A list is `{items, next_cursor}`: send `next_cursor` as `cursor` until it is null. A write to a task returns \
`{task, seq, epoch}`: a client that has received event number `seq` has seen its effect. \
Timestamps are RFC 3339 in UTC. Errors are problem details (RFC 9457)."""


def _describe_id(noun: str, example: str) -> Node:
    return {"description": f"Id of the {noun}", "schema": {"type": "string", "format": "uuid"}, "example": example}


def _describe_name(what: str, example: str) -> Node:
    return {"description": what, "schema": {"type": "string", "maxLength": 100}, "example": example}


_IN_PATHS: dict[str, Node] = {
    "instance_id": {
        "description": "Id of the instance",
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"},
        "example": "demo",
    },
    "task_id": _describe_id("task", "0b7a2c9e-53f4-4c0e-9d5e-2f1f6f0a6a11"),
    "step_id": _describe_id("step", "51c0f9b6-3f0e-5a57-9f0e-6a7f2f1c9d11"),
    "schedule_id": _describe_id("schedule", "6f1d7a52-8a0b-4f37-9a63-1f4a52c7c9d0"),
    "user_name": _describe_name("Name of the user", "ann"),
    "token_id": _describe_id("token", "9c1d3f6e-6f0e-4c57-8a2f-0d7f3a1b5e42"),
    "artifact_id": _describe_id("artifact", "2d8f0f0a-7a52-5f0e-8a55-0b7b1d9c5e11"),
    "kind": _describe_name("Kind of the agent", "echo"),
}
_BEARER = {
    "type": "http",
    "scheme": "bearer",
    "description": "An access token, a personal token, an API token of a front end, or a token of an identity provider",
}
#: Statuses of errors of every operation, and of every operation with a body.
_ALWAYS = (429, 500, 503)
_WITH_BODY = (400, 411, 413, 415)
#: Statuses of errors of every operation that requires authentication.
_GUARDED = (401, 403)
_PUBLIC_TAGS = ("Health",)


def register(app: APIFlask) -> None:
    """Serve the document and its page."""
    app.config.update(
        SERVERS=[{"url": "/", "description": "This server"}],
        DESCRIPTION=DESCRIPTION,
        LICENSE={"name": "MIT", "identifier": "MIT"},
        AUTO_OPERATION_ID=True,
        AUTO_404_RESPONSE=False,
        AUTO_VALIDATION_ERROR_RESPONSE=False,
    )
    app.spec_processor(lambda spec: finish_document(cast("Node", spec)))

    @app.get("/api/docs")
    @app.doc(hide=True)
    def api_docs() -> str:
        # Rendered on the server: the page needs no script and no other site.
        return render_template("api_docs.html", spec=app.spec, kinds=KINDS.values(), resolve=resolve)


def finish_document(spec: Node) -> Node:
    """Add to APIFlask's document what all operations share."""
    components = spec.setdefault("components", {})
    components["schemas"] = _rename_nested(spec, components.get("schemas", {}))
    components["schemas"]["Problem"] = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    components["schemas"] |= components["schemas"]["Problem"].pop("$defs", {})
    components["responses"] = {f"Problem{status}": _describe_problem(status) for status in _statuses()}
    components["securitySchemes"] = {"bearer": _BEARER}
    # A server in open mode requires no token.
    spec["security"] = [{"bearer": []}, {}]
    for operation in _operations(spec):
        _finish_operation(operation)
        _describe_responses(operation, components["schemas"])
    return spec


def resolve(spec: Node, node: Node) -> Node:
    """Return the node that a `$ref` of the document points to, or the node itself."""
    while "$ref" in node:
        target: Any = spec
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        node = target
    return node


def _operations(spec: Node) -> Iterator[Node]:
    for path in spec["paths"].values():
        yield from path.values()


def _describe_responses(operation: Node, schemas: Node) -> None:
    for response in operation["responses"].values():
        if response.get("description") == "Successful response":
            name = response["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
            response["description"] = schemas[name]["description"]


def _finish_operation(operation: Node) -> None:
    # APIFlask composes it of method, blueprint and view; the view's name is unique.
    operation["operationId"] = operation["operationId"].split("_", 2)[2]
    if "description" in operation:
        operation["description"] = " ".join(operation["description"].split())
    operation["parameters"] = [_finish_parameter(parameter) for parameter in operation.get("parameters", [])]
    responses = operation["responses"]
    for status in _list_problems(operation):
        if not _is_described(responses.get(str(status), {})):
            responses[str(status)] = {"$ref": f"#/components/responses/Problem{status}"}
    if "201" in responses:
        # A repeated request has the same response as the first.
        for response in (responses[status] for status in ("200", "201") if status in responses):
            response["content"] = responses["201"]["content"]
            response["headers"] = {"Location": {"description": "URL of the new object", "schema": {"type": "string"}}}
    operation["responses"] = dict(sorted(responses.items()))


def _list_problems(operation: Node) -> set[int]:
    locations = {parameter["in"] for parameter in operation["parameters"]}
    statuses = {int(status) for status in operation["responses"] if int(status) >= 400}.union(_ALWAYS)
    if not set(operation["tags"]) & set(_PUBLIC_TAGS):
        statuses.update(_GUARDED)
    if locations:
        statuses.add(422)
    if "path" in locations:
        statuses.add(404)
    if "requestBody" in operation:
        statuses.update(_WITH_BODY, [422])
    return statuses


def _is_described(response: Node) -> bool:
    schemas = [media["schema"] for media in response.get("content", {}).values()]
    return bool(schemas) and all("HTTPError" not in schema.get("$ref", "") for schema in schemas)


def _finish_parameter(parameter: Node) -> Node:
    if parameter["in"] == "path":
        return {**parameter, **_IN_PATHS[parameter["name"]]}
    if parameter["in"] == "header":
        parameter["name"] = parameter["name"].title()
    schema = dict(parameter["schema"])
    described = {"description": schema.pop("description")} if "description" in schema else {}
    # A parameter can be absent, but not null.
    options = [option for option in schema.pop("anyOf", []) if option != {"type": "null"}]
    if schema.get("default", ...) is None:
        del schema["default"]
    if len(options) == 1:
        schema |= options[0]
    return {**parameter, **described, "schema": schema}


def _rename_nested(spec: Node, schemas: Node) -> Node:
    """Rename `TaskPage.TaskView`, APIFlask's name of a nested schema, to `Task`, and list each schema once."""
    schemas.pop("HTTPError", None)
    renamed = {_public_name(name): schema for name, schema in sorted(schemas.items()) if "$ref" not in schema}
    _rename_references(spec)
    _rename_references(renamed)
    return dict(sorted(renamed.items()))


def _rename_references(node: Any) -> None:
    if isinstance(node, list):
        for inner in node:
            _rename_references(inner)
    elif isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            parent, _, name = node["$ref"].rpartition("/")
            node["$ref"] = f"{parent}/{_public_name(name)}"
        for inner in node.values():
            _rename_references(inner)


def _public_name(name: str) -> str:
    return name.rpartition(".")[2].removesuffix("View").removesuffix("Body")


def _statuses() -> list[int]:
    return sorted({kind.status for kind in KINDS.values()})


def _describe_problem(status: int) -> Node:
    kinds = [kind for kind in KINDS.values() if kind.status == status]
    examples = {kind.code: {"summary": kind.title, "value": _make_example(kind)} for kind in kinds}
    media = {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": examples}
    titles = "; ".join(f"`{kind.code}`: {kind.title.lower()}" for kind in kinds)
    described: Node = {"description": f"{HTTPStatus(status).phrase}: {titles}", "content": {MEDIA_TYPE: media}}
    if status in (429, 503):
        described["headers"] = {"Retry-After": {"description": "Seconds to wait", "schema": {"type": "integer"}}}
    return described


def _make_example(kind: ProblemKind) -> Node:
    problem = {
        "type": f"/api/docs#problem-{kind.code}",
        "title": kind.title,
        "status": kind.status,
        "detail": kind.title,
        "code": kind.code,
    }
    more: dict[str, Node] = {
        "invalid_input": {
            "detail": "input.platforms[0]: 'fax' is not one of ['x', 'linkedin']",
            "field": "input.platforms[0]",
            "errors": [{"field": "input.platforms[0]", "message": "'fax' is not one of ['x', 'linkedin']"}],
        },
        "too_old": {"detail": "events up to 1200 are no longer stored", "field": "since", "min_seq": 1200},
        "rate_limited": {"retry_after_ms": 1200},
        "internal": {"error_id": "4a8f3cc2d94f4cb0a7a6a4e6f3a1c9d0"},
    }
    return problem | more.get(kind.code, {})
