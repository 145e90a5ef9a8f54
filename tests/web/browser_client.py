"""Beside the road: what a person with a browser does at the door, asked through Flask's test client."""

from __future__ import annotations

import re
from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.identity.bench import PASSWORD


def proof_on(page: TestResponse) -> str:
    """The proof in a page."""
    found = re.search(r'name="csrf" (?:value|content)="([0-9a-f]{64})"', page.text)
    assert found, page.text
    return found[1]


def sign_in(
    client: FlaskClient, *, name: str = "ann", password: str = PASSWORD, following: str = "/", **options: Any
) -> TestResponse:
    """Sign in as a person does; the answer."""
    page = client.get("/login", **options)
    form = {"name": name, "password": password, "csrf": proof_on(page), "next": following}
    return client.post("/login", data=form, **options)
