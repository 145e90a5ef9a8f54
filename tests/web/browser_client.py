"""Signs in through the sign-in page with Flask's test client."""

from __future__ import annotations

import re
from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.identity.bench import PASSWORD


def csrf_token_of(page: TestResponse) -> str:
    """Return the CSRF token of a page."""
    match = re.search(r'name="csrf" (?:value|content)="([0-9a-f]{64})"', page.text)
    assert match, page.text
    return match[1]


def sign_in(
    client: FlaskClient, *, name: str = "ann", password: str = PASSWORD, following: str = "/", **options: Any
) -> TestResponse:
    """Submit the sign-in form; return the response."""
    page = client.get("/login", **options)
    form = {"name": name, "password": password, "csrf": csrf_token_of(page), "next": following}
    return client.post("/login", data=form, **options)
