"""REST: large inputs and outputs, which events and views only refer to."""

from __future__ import annotations

from apiflask import APIBlueprint
from flask import Response, request

from swallowtail.app.core.validation import check_task_id
from swallowtail.app.web.api.permission_scope import seeing

_TAG = {"name": "Artifacts", "description": "Inputs and outputs that are too large for an event or a view."}

bp = APIBlueprint("artifacts", __name__, tag=_TAG, url_prefix="/api/v1/artifacts")


@bp.get("/<artifact_id>")
@bp.doc(responses={200: "The whole of it, JSON or text, as a file", 304: "It is what `If-None-Match` names"})
def show_artifact(artifact_id: str) -> Response:
    """Read a large input or output

    To whoever may see its task or schedule. `ETag` is the SHA-256 of what is sent.
    """
    with seeing() as sight:
        found = sight.artifact(check_task_id(artifact_id, "artifact_id"))
    answer = Response(found.content, content_type=found.media_type)
    # An agent wrote it: no browser is to show it as anything but a file.
    ending = "json" if found.media_type == "application/json" else "txt"
    answer.headers["Content-Disposition"] = f'attachment; filename="{found.id}.{ending}"'
    answer.headers["X-Content-Type-Options"] = "nosniff"
    answer.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    answer.headers["Cache-Control"] = "private, no-cache"
    answer.set_etag(found.sha256)
    answer.make_conditional(request)
    return answer
