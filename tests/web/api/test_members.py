"""Members and front ends' tokens by REST."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from swallowtail.app.core.errors import Unauthenticated
from tests.web.app_fixture import problem, take
from tests.web.callers import Gallery, open_gallery


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    with open_gallery(tmp_path) as gallery:
        yield gallery


def test_an_admin_keeps_members(gallery: Gallery) -> None:
    name = gallery.new_user()
    made = take(gallery.ask("admin", "PUT", f"/api/v1/instances/acme/members/{name}", {"role": "operator"}))
    assert (made["name"], made["role"]) == (name, "operator")
    listed = take(gallery.ask("admin", "GET", "/api/v1/instances/acme/members"))["items"]
    assert {one["name"]: one["role"] for one in listed} == {
        "admin": "admin", "operator": "operator", "owner": "owner", "viewer": "viewer", name: "operator",
    }  # fmt: skip
    path = f"/api/v1/instances/acme/members/{name}"
    assert gallery.ask("admin", "DELETE", path).status_code == 204
    problem(gallery.ask("admin", "DELETE", path), 404, "not_found", "name")
    problem(gallery.ask("admin", "DELETE", "/api/v1/instances/acme/members/owner"), 403, "forbidden")
    problem(gallery.ask("owner", "DELETE", "/api/v1/instances/acme/members/owner"), 409, "conflict", "name")
    problem(gallery.ask("admin", "PUT", path, {"role": "king"}), 422, "invalid_input", "role")


def test_a_front_ends_token_shows_what_it_was_minted_for_until_it_is_revoked(gallery: Gallery) -> None:
    tokens = "/api/v1/instances/acme/front-end-tokens"
    wish = {"name": "page", "task_id": gallery.task_id, "fields": ["message"], "lifetime": 60.0}
    minted = take(gallery.ask("admin", "POST", tokens, wish), 201)
    listed = take(gallery.ask("admin", "GET", tokens))["items"]
    assert [one["id"] for one in listed] == [minted["token"]["id"]]
    assert minted["secret"] not in str(listed)
    actor = gallery.web_app.web.tokens.read(minted["secret"])
    assert (actor.instance_id, actor.task_id, actor.fields) == ("acme", gallery.task_id, frozenset({"message"}))
    shown = take(gallery.ask(actor, "GET", f"/api/v1/tasks/{gallery.task_id}"))
    assert (shown["message"], shown["input"]) == ("Submitted", None)
    assert gallery.ask("admin", "DELETE", f"{tokens}/{minted['token']['id']}").status_code == 204
    with pytest.raises(Unauthenticated, match="revoked"):
        gallery.web_app.web.tokens.read(minted["secret"])


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"fields": ["secret_thing"]}, "fields"),
        ({"acts": ["member.write", "instance.read"]}, "acts"),
        ({"lifetime": 1e9}, "lifetime"),
        ({"name": ""}, "name"),
    ],
)
def test_what_a_token_cannot_be_is_refused(gallery: Gallery, wrong: dict[str, object], field: str) -> None:
    answer = gallery.ask("admin", "POST", "/api/v1/instances/acme/front-end-tokens", {"name": "page", **wrong})
    problem(answer, 422, "invalid_input", field)
