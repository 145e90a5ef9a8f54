"""A permission that ends between two transactions of a long operation: the operation stops there."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import delete, select, update

from swallowtail.app.core.errors import Forbidden, NotFound, SwallowtailError, Unauthenticated
from swallowtail.app.core.events import now
from swallowtail.app.core.maintenance.key_rotation import rotate_all
from swallowtail.app.core.security.actors import Actor, Caller
from swallowtail.app.core.services.instance_deletion import _Deletion, delete_instance
from swallowtail.app.core.services.instance_export import export_instance
from swallowtail.app.core.tables.auth import Membership, User
from swallowtail.app.core.tables.instances import Instance
from swallowtail.app.core.tables.tasks import Task
from tests.core.conftest import NewDomain
from tests.core.domain import Domain

ANN = Caller(Actor("user", "ann", "ann", user_id="ann", is_superuser=True), "rest")


@pytest.fixture
def domain(new_domain_on: NewDomain) -> Domain:
    """An instance with an active task, whose owner `ann` is a superuser."""
    domain = new_domain_on()
    with domain.db.write() as session:
        session.add(User(id="ann", name="ann", is_superuser=True, generation=1, created_at=now()))
        session.flush()
        session.add(Membership(instance_id="demo", user_id="ann", role="owner", created_at=now()))
    domain.submit()
    return domain


def remove(domain: Domain) -> None:
    with domain.db.write() as session:
        session.execute(delete(Membership).where(Membership.user_id == "ann"))


def disable(domain: Domain) -> None:
    with domain.db.write() as session:
        session.execute(update(User).where(User.id == "ann").values(disabled_at=now()))


ENDS: list[tuple[Callable[[Domain], None], type[SwallowtailError]]] = [(remove, NotFound), (disable, Unauthenticated)]


@pytest.mark.parametrize(("end", "refusal"), ENDS)
@pytest.mark.parametrize("step", ["cancel_tasks", "finish"])
def test_a_deletion_that_stops_keeps_the_rows_that_another_call_needs(
    domain: Domain,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    end: Callable[[Domain], None],
    refusal: type[SwallowtailError],
) -> None:
    """Missing check: tasks were cancelled, and the instance deleted, for a caller without the permission."""
    original = getattr(_Deletion, step)

    def do(self: _Deletion, *arguments: object) -> object:
        end(domain)
        return original(self, *arguments)

    monkeypatch.setattr(_Deletion, step, do)
    with pytest.raises(refusal):
        delete_instance(domain.rt.by(ANN), "demo", "demo")
    monkeypatch.undo()
    with domain.db.read() as session:
        assert session.get(Instance, "demo") is not None
        assert session.scalars(select(Task.status)).all() == (["SUBMITTED"] if step == "cancel_tasks" else [])
    assert delete_instance(domain.rt, "demo", "demo")["tasks"] == (1 if step == "cancel_tasks" else 0)


@pytest.mark.parametrize(("end", "refusal"), ENDS)
def test_an_export_stops_at_the_next_page(
    domain: Domain, end: Callable[[Domain], None], refusal: type[SwallowtailError]
) -> None:
    """Missing check: only the first transaction of an export checked the permission."""
    lines = export_instance(domain.rt.by(ANN), "demo")
    assert b'"export"' in next(lines)
    assert b'"policy"' in next(lines)
    end(domain)
    with pytest.raises(refusal):
        next(lines)


def test_a_rotation_of_keys_stops_at_the_next_batch(domain: Domain, new_domain_on: NewDomain) -> None:
    """Missing check: only the audit entry of a rotation checked the permission."""
    batches = rotate_all(new_domain_on(encryption_keys=f"new:{'A' * 43}=").rt.by(ANN))
    next(batches)
    with domain.db.write() as session:
        session.execute(update(User).where(User.id == "ann").values(is_superuser=False))
    with pytest.raises(Forbidden):
        next(batches)
