"""Serves a script with an error message in place of each script of the pages' connection that is not installed.

A wheel has all of them; a checkout gets the Socket.IO client from `scripts/prepare`. The script shows the message on
the page, where a 404 would appear in the browser's console only.
"""

from __future__ import annotations

from pathlib import Path

import structlog
from flask import Flask, Response

log = structlog.get_logger(__name__)

#: The repository, or the installed package.
_ROOT = Path(__file__).resolve().parents[3]
#: The files by their URLs, below the repository.
FILES = {
    "/static/vendor/socket.io.min.js": "app/web/static/vendor/socket.io.min.js",
    "/static/vendor/socket.io.esm.min.js": "app/web/static/vendor/socket.io.esm.min.js",
    "/clients/javascript/task_websocket_client.js": "clients/javascript/task_websocket_client.js",
}
#: The command that installs them, in a checkout and elsewhere.
COMMAND = (
    "./scripts/prepare"
    if (_ROOT / "scripts" / "prepare").is_file()
    else "pip install --force-reinstall --no-deps swallowtail"
)
REMEDY = f"The browser's Socket.IO client is not installed: run {COMMAND}, then load this page again."
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
_FUNCTION = f'() {{ throw new Error("{REMEDY}"); }}'
#: What the modules export.
_EXPORTS = {
    "socket.io.esm.min.js": f"export function io{_FUNCTION}\n",
    "task_websocket_client.js": f"export class TaskWebSocketClient {{ constructor{_FUNCTION} }}\n",
}


def register(app: Flask, root: Path | None = None) -> None:
    """Serve the script for each file that is missing below `root`, by default the repository or the package."""
    missing = [url for url, file in FILES.items() if not ((root or _ROOT) / file).is_file()]
    if missing:
        log.warning("socket_io_client_missing", files=missing, remedy=f"run {COMMAND}")
    for url in missing:
        name = url.rpartition("/")[2]
        text = _SCRIPT + _EXPORTS.get(name, "")
        endpoint = f"missing_{name.replace('.', '_')}"
        app.add_url_rule(url, endpoint, lambda text=text: Response(text, mimetype="text/javascript"))
