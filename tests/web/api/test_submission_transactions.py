"""How many transactions a submission takes over REST: one to authenticate its caller and one for everything else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import event

from swallowtail.app.core.identity import users
from swallowtail.app.core.identity.actors import user_actor
from swallowtail.app.core.identity.api_tokens import issue_personal
from swallowtail.app.core.identity.members import set_member
from swallowtail.app.core.identity.sessions import sign_in
from swallowtail.app.core.schemas.identities import NewToken
from swallowtail.app.core.security.actors import Actor, Caller
from swallowtail.app.core.services.tasks import create_instance
from swallowtail.app.core.tables.auth import User
from tests.harness.settings import make_settings
from tests.identity.bench import CHEAP, KEY, PASSWORD
from tests.web.app_fixture import SUBMISSION, WebApp, expect_json

MOST = 2


@pytest.fixture
def asked(tmp_path: Path) -> Iterator[WebApp]:
    """An application whose callers show tokens, with an instance and its operator `ann`."""
    web_app = WebApp(
        make_settings(var_dir=tmp_path, auth="required", secret_key=KEY, limits="off", async_mode="threading", **CHEAP)
    )
    create_instance(web_app.rt, "Acme", "acme")
    set_member(web_app.rt, "acme", users.create_user(web_app.rt, "ann", PASSWORD)["id"], "operator")
    yield web_app
    web_app.close()


def find_tokens(web_app: WebApp) -> dict[str, str]:
    """Return a token of each kind that may submit."""
    signed_in = sign_in(web_app.rt.by(Caller(Actor("nobody", "", ""), "rest")), web_app.web.tokens, "ann", PASSWORD)
    with web_app.rt.db.read() as session:
        ann = user_actor(session.query(User).filter_by(name="ann").one())
    created = issue_personal(web_app.rt.by(Caller(ann, "rest")), NewToken(name="script"))
    return {"session": signed_in.access_token, "personal": created["secret"]}


@pytest.mark.parametrize("kind", ["session", "personal"])
def test_a_submission_takes_two_transactions(asked: WebApp, kind: str) -> None:
    headers = {"Authorization": f"Bearer {find_tokens(asked)[kind]}"}
    # The first use of a personal token in a minute is noted in a transaction of its own.
    expect_json(asked.post("/instances/acme/tasks", SUBMISSION, headers=headers), 201)
    begun: list[object] = []
    event.listen(asked.rt.db.engine, "begin", begun.append)
    answer = expect_json(asked.post("/instances/acme/tasks", SUBMISSION, headers=headers), 201)
    assert len(begun) <= MOST
    with asked.rt.db.read() as session:
        assert session.connection().exec_driver_sql("SELECT count(*) FROM task").scalar() == 2
    assert answer["task"]["last_seq"] == answer["seq"] == 2
