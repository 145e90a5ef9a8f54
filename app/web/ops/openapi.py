"""The OpenAPI 3.1 document of the REST API, and the page to read it. Beside the road.

APIFlask draws the document from the views; what is the same everywhere (problems, parameters in paths) is added here.
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
Submit tasks to an instance, and watch every event of them. Events come over Socket.IO as they happen; \
`/api/v1/instances/{instance_id}/events` gives the same ones to whoever asks.

A list is `{items, next_cursor}`: pass `next_cursor` on as `cursor` until it is null. A write to a task answers \
`{task, seq, epoch}`: whoever has received event number `seq` has seen its effect. Moments are RFC 3339 in UTC. \
Whatever goes wrong is told as problem details (RFC 9457)."""

_TASK = "0b7a2c9e-53f4-4c0e-9d5e-2f1f6f0a6a11"
_IN_PATHS: dict[str, Node] = {
    "instance_id": {
        "description": "Id of the instance",
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"},
        "example": "demo",
    },
    "task_id": {
        "description": "Id of the task",
        "schema": {"type": "string", "format": "uuid"},
        "example": _TASK,
    },
    "step_id": {
        "description": "Id of the step",
        "schema": {"type": "string", "format": "uuid"},
        "example": "51c0f9b6-3f0e-5a57-9f0e-6a7f2f1c9d11",
    },
    "schedule_id": {
        "description": "Id of the schedule",
        "schema": {"type": "string", "format": "uuid"},
        "example": "6f1d7a52-8a0b-4f37-9a63-1f4a52c7c9d0",
    },
    "user_name": {
        "description": "Name of the user",
        "schema": {"type": "string", "maxLength": 100},
        "example": "ann",
    },
    "token_id": {
        "description": "Id of the token",
        "schema": {"type": "string", "format": "uuid"},
        "example": "9c1d3f6e-6f0e-4c57-8a2f-0d7f3a1b5e42",
    },
    "artifact_id": {
        "description": "Id of the artifact",
        "schema": {"type": "string", "format": "uuid"},
        "example": "2d8f0f0a-7a52-5f0e-8a55-0b7b1d9c5e11",
    },
    "kind": {
        "description": "Kind of task that the agent performs",
        "schema": {"type": "string", "maxLength": 100},
        "example": "echo",
    },
}
_BEARER = {
    "type": "http",
    "scheme": "bearer",
    "description": "An access token, a personal token, a front end's token, or an identity provider's",
}
#: Problems that any operation may answer with; those that need an input only where there is one.
_ALWAYS = (429, 500, 503)
_WITH_BODY = (400, 411, 413, 415)
#: And those of everything that is not for everybody.
_GUARDED = (401, 403)
_FOR_EVERYBODY = ("Health",)


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
    app.spec_callback = lambda spec: finish_document(cast("Node", spec))

    @app.get("/api/docs")
    @app.doc(hide=True)
    def api_docs() -> str:
        # Drawn on the server, so that it needs no script and nothing from elsewhere.
        return render_template("api_docs.html", spec=app.spec, kinds=KINDS.values(), resolve=resolve)


def finish_document(spec: Node) -> Node:
    """Add to APIFlask's document what holds for every operation."""
    components = spec.setdefault("components", {})
    components["schemas"] = _rename_nested(spec, components.get("schemas", {}))
    components["schemas"]["Problem"] = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    components["schemas"] |= components["schemas"]["Problem"].pop("$defs", {})
    components["responses"] = {f"Problem{status}": _describe_problem(status) for status in _statuses()}
    components["securitySchemes"] = {"bearer": _BEARER}
    # None is needed where everybody is let in.
    spec["security"] = [{"bearer": []}, {}]
    for operation in _operations(spec):
        _finish_operation(operation)
        _describe_answers(operation, components["schemas"])
    return spec


def resolve(spec: Node, node: Node) -> Node:
    """Return what a `$ref` into the document stands for, or the node itself."""
    while "$ref" in node:
        found: Any = spec
        for part in node["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        node = found
    return node


def _operations(spec: Node) -> Iterator[Node]:
    for path in spec["paths"].values():
        yield from path.values()


def _describe_answers(operation: Node, schemas: Node) -> None:
    for answer in operation["responses"].values():
        if answer.get("description") == "Successful response":
            name = answer["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
            answer["description"] = schemas[name]["description"]


def _finish_operation(operation: Node) -> None:
    # APIFlask makes it of the method, the blueprint and the view; the view's name says it all.
    operation["operationId"] = operation["operationId"].split("_", 2)[2]
    if "description" in operation:
        operation["description"] = " ".join(operation["description"].split())
    operation["parameters"] = [_finish_parameter(parameter) for parameter in operation.get("parameters", [])]
    answers = operation["responses"]
    for status in _list_problems(operation):
        if not _is_described(answers.get(str(status), {})):
            answers[str(status)] = {"$ref": f"#/components/responses/Problem{status}"}
    if "201" in answers:
        # A repeated request has the same answer as the first.
        for answer in (answers[status] for status in ("200", "201") if status in answers):
            answer["content"] = answers["201"]["content"]
            answer["headers"] = {"Location": {"description": "Address of it", "schema": {"type": "string"}}}
    operation["responses"] = dict(sorted(answers.items()))


def _list_problems(operation: Node) -> set[int]:
    places = {parameter["in"] for parameter in operation["parameters"]}
    statuses = {int(status) for status in operation["responses"] if int(status) >= 400}.union(_ALWAYS)
    if not set(operation["tags"]) & set(_FOR_EVERYBODY):
        statuses.update(_GUARDED)
    if places:
        statuses.add(422)
    if "path" in places:
        statuses.add(404)
    if "requestBody" in operation:
        statuses.update(_WITH_BODY, [422])
    return statuses


def _is_described(answer: Node) -> bool:
    """Tell whether a view says more about an answer than that there may be one."""
    schemas = [media["schema"] for media in answer.get("content", {}).values()]
    return bool(schemas) and all("HTTPError" not in schema.get("$ref", "") for schema in schemas)


def _finish_parameter(parameter: Node) -> Node:
    if parameter["in"] == "path":
        return {**parameter, **_IN_PATHS[parameter["name"]]}
    if parameter["in"] == "header":
        parameter["name"] = parameter["name"].title()
    schema = dict(parameter["schema"])
    described = {"description": schema.pop("description")} if "description" in schema else {}
    # A parameter that is absent is absent, not null.
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
    return name.rpartition(".")[2].removesuffix("View")


def _statuses() -> list[int]:
    return sorted({kind.status for kind in KINDS.values()})


def _describe_problem(status: int) -> Node:
    kinds = [kind for kind in KINDS.values() if kind.status == status]
    examples = {kind.code: {"summary": kind.title, "value": _exemplify(kind)} for kind in kinds}
    media = {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": examples}
    titles = "; ".join(f"`{kind.code}`: {kind.title.lower()}" for kind in kinds)
    described: Node = {"description": f"{HTTPStatus(status).phrase}: {titles}", "content": {MEDIA_TYPE: media}}
    if status in (429, 503):
        described["headers"] = {"Retry-After": {"description": "Seconds to wait", "schema": {"type": "integer"}}}
    return described


def _exemplify(kind: ProblemKind) -> Node:
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
