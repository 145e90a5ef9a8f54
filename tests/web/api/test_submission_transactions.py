"""A submission over REST takes at most two transactions, the first of a process as well.

One authenticates the caller and reads what a large input is checked against; the other checks and stores the task.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, update

from swallowtail.app.core.events import now
from swallowtail.app.core.identity import users
from swallowtail.app.core.identity.api_tokens import issue_front_end, issue_personal, revoke_own
from swallowtail.app.core.identity.authenticate import Tokens
from swallowtail.app.core.identity.jwks import ProviderKeys
from swallowtail.app.core.identity.members import remove_member, set_member
from swallowtail.app.core.identity.sessions import sign_in
from swallowtail.app.core.identity.users import Identity, user_actor
from swallowtail.app.core.ledger import artifacts
from swallowtail.app.core.ledger.agent_cards import AgentCard, register
from swallowtail.app.core.payload_redaction.stored_redactions import fingerprint
from swallowtail.app.core.schemas.identities import NewFrontEndToken, NewToken
from swallowtail.app.core.schemas.instances import NewPolicy
from swallowtail.app.core.security.actors import OPEN, Actor, Caller
from swallowtail.app.core.services import submissions
from swallowtail.app.core.services.instance_policy import put_policy
from swallowtail.app.core.services.instances import create_instance
from swallowtail.app.core.tables.auth import AccessToken, User
from swallowtail.app.core.tables.tasks import Task
from swallowtail.app.web.request import current_caller
from tests.harness.settings import make_settings
from tests.identity.bench import CHEAP, ISSUER, KEY, PASSWORD, PROVIDER, Provider
from tests.web.app_fixture import WebApp
from tests.web.browser_client import csrf_token_of

MOST = 2
ENCRYPTION_KEY = f"one:{base64.b64encode(bytes(32)).decode()}"
#: Inputs that stay in their rows, and one that is stored in an artifact; the last is redacted.
INPUTS = {
    "100 bytes": {"text": "x" * 100},
    "2 kB": {"text": "x" * 2000},
    "40 kB": {"text": "x" * 40_000},
    "secret": {"text": "y" * 2000 + "open sesame", "password": "open sesame"},
}
FIELDS: list[Any] = [{"text"}, {"text"}, {"$artifact"}, {"text", "password"}]
KINDS = ["session", "personal", "front_end", "provider", "cookie"]
PROPERTIES = {"text": {"type": "string"}, "password": {"type": "string", "format": "password"}}


class Site:
    """A database, and one web process at a time. The caller `ann` is an operator of the instance `acme`."""

    def __init__(self, **options: Any) -> None:
        fixed = {"secret_key": KEY, "async_mode": "threading", "limits": "off", **CHEAP, **PROVIDER}
        self.settings = make_settings(**fixed, **options)
        self.provider = Provider()
        self.process = WebApp(self.settings)
        context = self.process.rt
        register(context.db, [AgentCard("any", "Any", "", "1", {"type": "object", "properties": PROPERTIES})])
        create_instance(context, "Acme", "acme")
        for name, identity in (("ann", None), ("ada", Identity(ISSUER, "ada"))):
            user = users.create_user(context, name, None if identity else PASSWORD, identity=identity)
            set_member(context, "acme", user["id"], "operator")
        self.headers = self._make_headers()

    def start_process(self) -> WebApp:
        """Start a web process that has served no request, and forget when the tokens were last used."""
        self.process.close()
        self.process = WebApp(self.settings)
        keys = ProviderKeys(self.settings, transport=self.provider.transport)
        self.process.web.tokens = Tokens(self.process.rt, provider=keys)
        with self.process.rt.db.write() as session:
            session.execute(update(AccessToken).values(last_used_at=None))
        return self.process

    def _make_headers(self) -> dict[str, dict[str, str]]:
        """Return the headers with which a caller of each kind submits."""
        if self.settings.is_open:
            return {"none": {}}
        context, tokens = self.process.rt, self.process.web.tokens
        signed_in = sign_in(context.by(Caller(Actor("nobody", "", ""), "rest")), tokens, "ann", PASSWORD)
        ann = context.by(Caller(self.read_user("ann"), "rest"))
        page = NewFrontEndToken(name="page", acts=["instance.read", "task.submit"])
        secrets = {
            "session": signed_in.access_token,
            "personal": issue_personal(ann, NewToken(name="script"))["secret"],
            "front_end": issue_front_end(context.by(Caller(OPEN, "rest")), tokens, "acme", page)["secret"],
            "provider": self.provider.sign(),
        }
        cookie = {"Cookie": f"swallowtail_session={signed_in.session_token}"}
        account = self.process.app.test_client(use_cookies=False).get("/account", headers=cookie)
        headers = {kind: {"Authorization": f"Bearer {secret}"} for kind, secret in secrets.items()}
        return {**headers, "cookie": {**cookie, "X-CSRF-Token": csrf_token_of(account)}, "none": {}}

    def read_user(self, name: str) -> Actor:
        """Return the actor of a user."""
        with self.process.rt.db.read() as session:
            return user_actor(session.query(User).filter_by(name=name).one())

    def read_last_uses(self) -> list[Any]:
        """Return when tokens were last used."""
        with self.process.rt.db.read() as session:
            return [row.last_used_at for row in session.query(AccessToken) if row.last_used_at is not None]

    def count_transactions(self, kind: str, task_input: Any, status: int = 201, key: str = "") -> tuple[int, Any]:
        """Submit a task; return the number of transactions, and the JSON of the response."""
        begun: list[object] = []
        engine, client = self.process.rt.db.engine, self.process.app.test_client(use_cookies=False)
        event.listen(engine, "begin", note := begun.append)
        body, headers = {"kind": "any", "input": task_input}, self.headers[kind]
        if key:
            headers = {**headers, "Idempotency-Key": key}
        response = client.post("/api/v1/instances/acme/tasks", json=body, headers=headers)
        event.remove(engine, "begin", note)
        assert response.status_code == status, response.text
        return len(begun), response.get_json()

    def count_first_transactions(self, kind: str, task_input: Any, status: int = 201, key: str = "") -> int:
        """Submit a task as the first request of a new process; return the number of transactions."""
        self.start_process()
        return self.count_transactions(kind, task_input, status, key)[0]


@pytest.fixture(
    params=[
        pytest.param(("sqlite", ""), id="sqlite"),
        pytest.param(("postgresql", ENCRYPTION_KEY), id="postgresql, encrypted", marks=pytest.mark.service),
    ]
)
def options(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    """Return the settings of a database."""
    backend, key = request.param
    url = {"database_url": request.getfixturevalue("postgres_url")} if backend == "postgresql" else {}
    return {"var_dir": tmp_path, "encryption_keys": key, **url}


@pytest.fixture
def site(options: dict[str, Any]) -> Iterator[Site]:
    """A site whose callers show tokens."""
    site = Site(auth="required", **options)
    yield site
    site.process.close()


def test_the_first_submission_of_a_process_takes_two_transactions(site: Site) -> None:
    first = {(kind, size): site.count_first_transactions(kind, INPUTS[size]) for kind in KINDS for size in INPUTS}
    assert first == dict.fromkeys(first, MOST)


def test_every_later_submission_takes_two_transactions(site: Site) -> None:
    counts, replies = zip(*(site.count_transactions("session", each) for each in INPUTS.values()), strict=True)
    assert set(counts) == {MOST}
    assert [reply["task"]["last_seq"] for reply in replies] == [reply["seq"] for reply in replies] == [1, 2, 3, 4]
    assert [set(reply["task"]["input"]) for reply in replies] == FIELDS
    assert replies[3]["task"]["input"]["password"] == "[redacted:secret]"
    assert "open sesame" not in str(replies)


def test_the_first_submission_with_open_access_takes_two_transactions(options: dict[str, Any]) -> None:
    site = Site(auth="open", **options)
    first = [site.count_first_transactions("none", task_input) for task_input in INPUTS.values()]
    assert first == [1, MOST, MOST, MOST]
    site.process.close()


def test_a_sweep_stores_the_last_use_of_tokens(site: Site) -> None:
    for kind in ("personal", "cookie"):
        site.count_first_transactions(kind, INPUTS["100 bytes"])
        assert site.read_last_uses() == []
        site.process.rt.make_sweeper().sweep()
        assert len(site.read_last_uses()) == 1


def test_the_end_of_a_process_stores_the_last_uses(site: Site) -> None:
    site.count_first_transactions("personal", INPUTS["100 bytes"])
    site.process.close()
    site.process = WebApp(site.settings)
    assert len(site.read_last_uses()) == 1


def test_a_repeated_submission_takes_two_transactions(site: Site) -> None:
    for key, task_input in INPUTS.items():
        first, reply = site.count_transactions("session", task_input, key=key)
        again, repeated = site.count_transactions("session", task_input, 200, key)
        assert (first, again) == (MOST, MOST)
        assert repeated == reply
        assert site.count_first_transactions("personal", task_input, 200, key) == MOST


def test_a_submission_that_is_repeated_after_a_change_of_the_policy_stores_its_new_redaction(
    site: Site,
) -> None:
    task_id = site.count_transactions("session", INPUTS["secret"], key="1")[1]["task"]["id"]
    put_policy(site.process.rt, "acme", NewPolicy(secret_fields=["iban"]))
    assert site.count_first_transactions("session", INPUTS["secret"], 200, "1") == MOST
    with site.process.rt.db.read() as session:
        task = session.get_one(Task, task_id)
        rules = session.info["policies"].rules(session, "acme", "any")
        assert task.secrets == {"by": fingerprint(rules), "values": ["open sesame"]}


def test_a_refused_submission_takes_two_transactions(site: Site) -> None:
    wrong: list[Any] = ["x", {"text": ["x" * 2000]}]
    for task_input in wrong:
        assert site.count_first_transactions("personal", task_input, 422) <= MOST
    remove_member(site.process.rt, "acme", "ann")
    context = site.process.rt.by(Caller(site.read_user("ann"), "rest"))
    for kind, status in (("session", 404), ("none", 401)):
        for task_input in (INPUTS["100 bytes"], INPUTS["2 kB"], *wrong):
            # Without the audit of the denied request, which a thread writes.
            process = site.start_process()
            process.web.denied_requests.note = lambda *_: None  # type: ignore[method-assign]
            count, reply = site.count_transactions(kind, task_input, status)
            assert count <= MOST
            assert reply["code"] == {404: "not_found", 401: "unauthenticated"}[status]
    with site.process.rt.db.read() as session:
        token_id = session.query(AccessToken).filter_by(kind="personal").one().id
    revoke_own(site.process.rt.by(context.caller), token_id)
    process = site.start_process()
    process.web.denied_requests.note = lambda *_: None  # type: ignore[method-assign]
    assert site.count_transactions("personal", INPUTS["2 kB"], 401)[0] == 1


def test_a_session_that_was_idle_for_too_long_learns_nothing_about_the_agent(site: Site) -> None:
    with site.process.rt.db.write() as session:
        session.execute(update(AccessToken).values(last_used_at=now() - timedelta(days=1)))
    assert site.count_transactions("cookie", {"text": ["x" * 2000]}, 401)[1]["code"] == "unauthenticated"


def test_a_large_submission_is_checked_against_the_card_of_the_moment(site: Site) -> None:
    site.count_transactions("session", INPUTS["2 kB"])
    db = site.process.rt.db
    schema = {"type": "object", "properties": {"text": {"type": "string", "maxLength": 10}}}
    register(db, [AgentCard("any", "Any", "", "2", schema)])
    count, reply = site.count_transactions("session", INPUTS["2 kB"], 422)
    assert (count, reply["errors"][0]["field"]) == (1, "input.text")
    register(db, [AgentCard("any", "Any", "", "3", {})])
    count, reply = site.count_transactions("session", {"text": ["x" * 2000]})
    assert (count, reply["task"]["input"]) == (MOST, {"text": ["x" * 2000]})


def test_a_card_that_changes_after_the_authentication_is_checked_in_the_transaction_of_the_task(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    db, check = site.process.rt.db, submissions.check_against
    schema = {"type": "object", "properties": {"text": {"type": "string", "maxLength": 10}}}

    def check_and_change(*arguments: Any, **options: Any) -> Any:
        monkeypatch.setattr("swallowtail.app.core.services.tasks.check_against", check)
        register(db, [AgentCard("any", "Any", "", "2", schema)])
        return check(*arguments, **options)

    monkeypatch.setattr("swallowtail.app.core.services.tasks.check_against", check_and_change)
    reply = site.count_transactions("session", INPUTS["2 kB"], 422)[1]
    assert reply["errors"][0]["field"] == "input.text"


def test_a_large_input_is_redacted_while_no_transaction_is_open(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    redact, engine, pending, seen = artifacts.redact_input, site.start_process().rt.db.engine, [0], []
    for name, change in (("begin", 1), ("commit", -1), ("rollback", -1)):
        event.listen(engine, name, lambda _, change=change: pending.append(pending.pop() + change))

    def note(*arguments: Any) -> Any:
        seen.append(pending[0])
        return redact(*arguments)

    monkeypatch.setattr(submissions, "redact_input", note)
    for kind in KINDS:
        for task_input in INPUTS.values():
            site.count_transactions(kind, task_input)
    # The small input is redacted in the transaction that stores it.
    assert seen == [1, 0, 0, 0] * len(KINDS)


def test_without_the_shared_read_a_large_submission_takes_three_transactions(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(current_caller, "_reads", {})
    first = [site.count_first_transactions("session", task_input) for task_input in INPUTS.values()]
    assert first == [2, 3, 3, 3]


def test_a_last_use_that_is_stored_at_once_takes_a_transaction_of_its_own(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = site.start_process().rt
    note = context.token_uses.note

    def note_and_store(*arguments: Any) -> None:
        note(*arguments)
        context.store_token_uses()

    monkeypatch.setattr(context.token_uses, "note", note_and_store)
    assert site.count_transactions("personal", INPUTS["100 bytes"])[0] == 3
