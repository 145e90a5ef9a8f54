"""REST endpoint of artifacts: inputs and outputs that are too large for events and task views."""

from __future__ import annotations

from apiflask import APIBlueprint
from flask import Response, request

from swallowtail.app.core.validation import check_task_id
from swallowtail.app.web.api.reads import open_reader

_TAG = {"name": "Artifacts", "description": "Inputs and outputs that are too large for an event or a task view."}

bp = APIBlueprint("artifacts", __name__, tag=_TAG, url_prefix="/api/v1/artifacts")


@bp.get("/<artifact_id>")
@bp.doc(responses={200: "The full value as a JSON or text file", 304: "Not modified: `If-None-Match` matches"})
def show_artifact(artifact_id: str) -> Response:
    """Download a large input or output

    Requires access to its task or schedule. `ETag` is the SHA-256 of the body.
    """
    with open_reader() as reader:
        artifact = reader.artifact(check_task_id(artifact_id, "artifact_id"))
    response = Response(artifact.content, content_type=artifact.media_type)
    # The content comes from an agent: a browser must only download it, never render it.
    suffix = "json" if artifact.media_type == "application/json" else "txt"
    response.headers["Content-Disposition"] = f'attachment; filename="{artifact.id}.{suffix}"'
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    response.headers["Cache-Control"] = "private, no-cache"
    response.set_etag(artifact.sha256)
    response.make_conditional(request)
    return response
