"""Serves a script with an error message in place of the browser's Socket.IO client if that is not installed.

`scripts/prepare` installs the client; an installation by pip alone has none. The script shows the message on the page,
where a 404 would appear in the browser's console only.
"""

from __future__ import annotations

from pathlib import Path

import structlog
from flask import Flask, Response

log = structlog.get_logger(__name__)

FILES = ("socket.io.min.js", "socket.io.esm.min.js")
REMEDY = "The browser's Socket.IO client is not installed: run ./scripts/prepare, then load this page again."
_SCRIPT = f"""(() => {{
  const show = () => {{
    const label = document.querySelector("#connection .label");
    if (label) label.textContent = "{REMEDY}";
  }};
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", show);
  else show();
  console.error("{REMEDY}");
}})();
"""
_MODULE = f'export function io() {{ throw new Error("{REMEDY}"); }}\n'


def register(app: Flask, folder: Path | None = None) -> None:
    """Serve the script for each file that is missing in `folder`, by default `static/vendor`."""
    directory = folder or Path(__file__).parents[1] / "static" / "vendor"
    missing = [name for name in FILES if not (directory / name).is_file()]
    if missing:
        log.warning("socket_io_client_missing", files=missing, remedy="run ./scripts/prepare")
    for name in missing:
        text = _SCRIPT + (_MODULE if ".esm." in name else "")
        endpoint = f"missing_{name.replace('.', '_')}"
        app.add_url_rule(
            f"/static/vendor/{name}", endpoint, lambda text=text: Response(text, mimetype="text/javascript")
        )
