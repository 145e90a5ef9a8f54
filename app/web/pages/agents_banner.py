"""Shows on every page, under `swallowtail dev`, why the agents cannot be loaded, until the module is mended."""

from __future__ import annotations

from typing import Any

from flask import Flask, Response

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.process.agents_status import read_status
from swallowtail.app.web.request.json_body import write_json

URL = "/dev/agents"


def register(app: Flask, settings: Settings) -> None:
    """Serve the error, and let `base.html` include the script that asks for it, if the process is one of `dev`."""
    if not settings.dev:
        return
    app.context_processor(_add_url)

    @app.get(URL)
    def show_agents_error() -> Response:
        return write_json({"error": read_status(settings.var).error})


def _add_url() -> dict[str, Any]:
    return {"agents_error_url": URL}
