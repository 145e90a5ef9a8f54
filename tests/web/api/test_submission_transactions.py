"""A submission over REST takes two transactions: one authenticates the caller, and one checks and stores the task."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from swallowtail.app.core.identity import users
from swallowtail.app.core.identity.api_tokens import issue_personal
from swallowtail.app.core.identity.members import remove_member, set_member
from swallowtail.app.core.identity.sessions import sign_in
from swallowtail.app.core.identity.users import user_actor
from swallowtail.app.core.ledger.agent_cards import AgentCard, register
from swallowtail.app.core.schemas.identities import NewToken
from swallowtail.app.core.security.actors import Actor, Caller
from swallowtail.app.core.services.instances import create_instance
from swallowtail.app.core.tables.auth import User
from tests.harness.settings import make_settings
from tests.identity.bench import CHEAP, KEY, PASSWORD
from tests.web.app_fixture import WebApp

MOST = 2
ENCRYPTION_KEY = f"one:{base64.b64encode(bytes(32)).decode()}"
#: Inputs that stay in their rows, and one that is stored in an artifact; the last is redacted.
INPUTS = {
    "100 bytes": {"text": "x" * 100},
    "2 kB": {"text": "x" * 2000},
    "40 kB": {"text": "x" * 40_000},
    "secret": {"text": "y" * 2000 + "open sesame", "password": "open sesame"},
}


@pytest.fixture(
    params=[
        pytest.param(("sqlite", ""), id="sqlite"),
        pytest.param(("sqlite", ENCRYPTION_KEY), id="sqlite, encrypted"),
        pytest.param(("postgresql", ""), id="postgresql", marks=pytest.mark.service),
        pytest.param(("postgresql", ENCRYPTION_KEY), id="postgresql, encrypted", marks=pytest.mark.service),
    ]
)
def web_app(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[WebApp]:
    """An application whose callers show tokens, with an instance and its operator `ann`."""
    backend, key = request.param
    options: dict[str, Any] = {"secret_key": KEY, "encryption_keys": key, "async_mode": "threading", **CHEAP}
    if backend == "postgresql":
        options["database_url"] = request.getfixturevalue("postgres_url")
    web_app = WebApp(make_settings(var_dir=tmp_path, auth="required", limits="off", **options))
    properties = {"text": {"type": "string"}, "password": {"type": "string", "format": "password"}}
    register(web_app.rt.db, [AgentCard("any", "Any", "", "1", {"type": "object", "properties": properties})])
    create_instance(web_app.rt, "Acme", "acme")
    set_member(web_app.rt, "acme", users.create_user(web_app.rt, "ann", PASSWORD)["id"], "operator")
    yield web_app
    web_app.close()


def make_tokens(web_app: WebApp) -> dict[str, str]:
    """Return a token of each kind that may submit."""
    signed_in = sign_in(web_app.rt.by(Caller(Actor("nobody", "", ""), "rest")), web_app.web.tokens, "ann", PASSWORD)
    with web_app.rt.db.read() as session:
        ann = user_actor(session.query(User).filter_by(name="ann").one())
    personal = issue_personal(web_app.rt.by(Caller(ann, "rest")), NewToken(name="script"))
    return {"session": signed_in.access_token, "personal": personal["secret"]}


def count_transactions(web_app: WebApp, headers: dict[str, str], task_input: Any, status: int = 201) -> tuple[int, Any]:
    """Submit a task; return the number of transactions, and the JSON of the response."""
    begun: list[object] = []
    note = begun.append
    event.listen(web_app.rt.db.engine, "begin", note)
    response = web_app.post("/instances/acme/tasks", {"kind": "any", "input": task_input}, headers=headers)
    event.remove(web_app.rt.db.engine, "begin", note)
    assert response.status_code == status, response.text
    return len(begun), response.get_json()


@pytest.mark.parametrize("kind", ["session", "personal"])
def test_a_submission_of_any_size_takes_two_transactions(web_app: WebApp, kind: str) -> None:
    headers = {"Authorization": f"Bearer {make_tokens(web_app)[kind]}"}
    # The first use of a personal token in a minute is stored in a transaction of its own.
    count_transactions(web_app, headers, INPUTS["100 bytes"])
    counts, replies = zip(*(count_transactions(web_app, headers, each) for each in INPUTS.values()), strict=True)
    assert max(counts) <= MOST
    assert [reply["task"]["last_seq"] for reply in replies] == [reply["seq"] for reply in replies] == [2, 3, 4, 5]
    assert [set(reply["task"]["input"]) for reply in replies] == [
        {"text"},
        {"text"},
        {"$artifact"},
        {"text", "password"},
    ]
    assert replies[3]["task"]["input"]["password"] == "[redacted:secret]"
    assert "open sesame" not in str(replies)


def test_a_repeated_submission_takes_two_transactions(web_app: WebApp) -> None:
    headers = {"Authorization": f"Bearer {make_tokens(web_app)['session']}"}
    count_transactions(web_app, headers, INPUTS["100 bytes"])
    for number, task_input in enumerate(INPUTS.values()):
        headers["Idempotency-Key"] = str(number)
        first, reply = count_transactions(web_app, headers, task_input)
        again, repeated = count_transactions(web_app, headers, task_input, 200)
        assert max(first, again) <= MOST
        assert repeated == reply


def test_a_large_submission_of_a_caller_without_permission_is_refused_as_before(web_app: WebApp) -> None:
    headers = {"Authorization": f"Bearer {make_tokens(web_app)['session']}"}
    count_transactions(web_app, headers, INPUTS["2 kB"])
    remove_member(web_app.rt, "acme", "ann")
    for task_input in (INPUTS["2 kB"], {"text": ["x" * 2000]}):
        assert count_transactions(web_app, headers, task_input, 404)[1]["code"] == "not_found"


def test_a_large_submission_is_checked_against_the_card_of_the_moment(web_app: WebApp) -> None:
    headers = {"Authorization": f"Bearer {make_tokens(web_app)['session']}"}
    count_transactions(web_app, headers, INPUTS["2 kB"])
    schema = {"type": "object", "properties": {"text": {"type": "string", "maxLength": 10}}}
    register(web_app.rt.db, [AgentCard("any", "Any", "", "2", schema)])
    assert count_transactions(web_app, headers, INPUTS["2 kB"], 422)[1]["errors"][0]["field"] == "input.text"
    register(web_app.rt.db, [AgentCard("any", "Any", "", "3", {})])
    assert count_transactions(web_app, headers, {"text": ["x" * 2000]})[1]["task"]["input"] == {"text": ["x" * 2000]}
