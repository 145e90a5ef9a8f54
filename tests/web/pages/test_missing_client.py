"""Without an installed Socket.IO client, the page shows which command installs it."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask import Flask
from structlog.testing import capture_logs

from swallowtail.app.web.pages import missing_client


@pytest.mark.parametrize("url", missing_client.FILES)
def test_a_missing_client_is_answered_with_a_script_that_names_the_command(tmp_path: Path, url: str) -> None:
    app = Flask(__name__)
    with capture_logs() as logs:
        missing_client.register(app, tmp_path)
    assert [(entry["event"], entry["remedy"]) for entry in logs] == [
        ("socket_io_client_missing", "run ./scripts/prepare")
    ]
    response = app.test_client().get(url)
    assert (response.status_code, response.mimetype) == (200, "text/javascript")
    assert "./scripts/prepare" in response.text
    assert ("export " in response.text) == (url != "/static/vendor/socket.io.min.js")


def test_files_that_are_there_are_left_alone(tmp_path: Path) -> None:
    for file in missing_client.FILES.values():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    app = Flask(__name__)
    with capture_logs() as logs:
        missing_client.register(app, tmp_path)
    assert logs == []
    assert not [rule for rule in app.url_map.iter_rules() if rule.rule in missing_client.FILES]
