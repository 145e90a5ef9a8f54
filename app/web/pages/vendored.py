"""Says what to do where the browser's Socket.IO client is missing. Beside the road, at the start of a web process.

`scripts/prepare` fetches it, and an installation by pip alone has none. A page that asks for it then gets a script that
says so where people look, in place of a 404 that only its console shows.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import structlog
from flask import Flask, Response

log = structlog.get_logger(__name__)

FILES = ("socket.io.min.js", "socket.io.esm.min.js")
REMEDY = "The browser's Socket.IO client is not installed: run ./scripts/prepare, then load this page again."
_SCRIPT = f"""(() => {{
  const tell = () => {{
    const label = document.querySelector("#connection .label");
    if (label) label.textContent = "{REMEDY}";
  }};
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", tell);
  else tell();
  console.error("{REMEDY}");
}})();
"""
_MODULE = f'export function io() {{ throw new Error("{REMEDY}"); }}\n'


def register(app: Flask, folder: Path | None = None) -> None:
    """Have a script answer for each file that is missing in `folder`, the vendor's directory when None."""
    directory = folder or Path(__file__).parents[1] / "static" / "vendor"
    missing = [name for name in FILES if not (directory / name).is_file()]
    if missing:
        log.warning("socket_io_client_missing", files=missing, remedy="run ./scripts/prepare")
    for name in missing:
        text = _SCRIPT + (_MODULE if ".esm." in name else "")
        app.add_url_rule(f"/static/vendor/{name}", f"missing_{name.replace('.', '_')}", _give(text))


def _give(text: str) -> Callable[[], Response]:
    def show() -> Response:
        return Response(text, mimetype="text/javascript")

    return show
