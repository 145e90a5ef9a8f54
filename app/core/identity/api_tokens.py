"""Issues, lists and revokes personal tokens (for scripts) and API tokens (for front ends).

No token allows more than its creator may do. `FOR_FRONT_ENDS` lists what an API token may allow.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from swallowtail.app.core.audit.writer import SYSTEM_SCOPE
from swallowtail.app.core.call_context import CallContext
from swallowtail.app.core.errors import Forbidden, InvalidInput, NotFound, TooMany
from swallowtail.app.core.events import now, stamp
from swallowtail.app.core.identity.authenticate import Tokens
from swallowtail.app.core.ledger.event_log import Change, read_head
from swallowtail.app.core.schemas.fields import view_row
from swallowtail.app.core.schemas.identities import CreatedToken, NewFrontEndToken, NewToken, TokenView
from swallowtail.app.core.security.actors import Actor
from swallowtail.app.core.security.field_mask import ALWAYS_SHOWN, MASKABLE
from swallowtail.app.core.security.permission_version import raise_version
from swallowtail.app.core.security.permissions import require, require_outside
from swallowtail.app.core.security.roles import LEAST_ROLE, Act
from swallowtail.app.core.security.token_secrets import make_secret
from swallowtail.app.core.tables.auth import AccessToken
from swallowtail.app.core.tables.tasks import Task
from swallowtail.app.core.validation import check_instance_id, check_line, check_task_id

#: Checks, in the transaction of a change, whether the caller may make it.
Check = Callable[[Change], object]
#: Checks the same, then the request, and returns the values of the new row; the same id in each try.
Prepare = Callable[[Change], dict[str, Any]]

#: Acts that an API token may allow.
FOR_FRONT_ENDS = frozenset({Act.READ, Act.SUBMIT, Act.CANCEL, Act.RETRY})
#: Acts that an API token for one task may allow.
_WITH_A_TASK = frozenset({Act.READ, Act.CANCEL, Act.RETRY})


def issue_personal(context: CallContext, request: NewToken) -> CreatedToken:
    """Issue a token with which a program acts as the caller; by default, for all acts and `personal_token_days`.

    `lifetime` is in seconds. Raises Unauthenticated, Forbidden, NotFound, InvalidInput, and TooMany above the limit.
    """
    actor, settings, token_id = context.caller.actor, context.settings, str(uuid.uuid4())
    longest, secret = timedelta(days=settings.personal_token_days), make_secret("personal", token_id)

    def prepare(change: Change) -> dict[str, Any]:
        # Before the rest of the request is read: others get the same refusal for every request.
        change.require_outside(Act.MANAGE_OWN_TOKENS)
        if actor.user_id is None:
            raise Forbidden("only users have personal tokens")
        instance_id = None if request.instance_id is None else check_instance_id(request.instance_id)
        if instance_id is not None:
            change.require(Act.READ, instance_id)
        allowed = None if request.acts is None else _check_acts(request.acts, frozenset(Act))
        if actor.acts is not None and (allowed is None or not allowed <= actor.acts):
            raise Forbidden("a token cannot create a token with more permissions")
        values = _new_values("personal", token_id, request.name, actor, allowed)
        values |= {"instance_id": instance_id, "secret_hash": secret.hash}
        values["expires_at"] = _expiry(request.lifetime, longest, _read_expiry(change.session, actor))
        return values

    row = _store(context, prepare, _are_personal(actor), settings.personal_tokens)
    return CreatedToken(token=view_row(TokenView, row), secret=secret.text)


def issue_front_end(context: CallContext, tokens: Tokens, instance_id: str, request: NewFrontEndToken) -> CreatedToken:
    """Issue a token that shows one instance, or one task, to a front end; by default for `front_end_token_hours`.

    Raises as `issue_personal` does, and NotSetUp without a signing key.
    """
    settings, instance_id, token_id = context.settings, check_instance_id(instance_id), str(uuid.uuid4())
    longest = timedelta(hours=settings.front_end_token_hours)

    def prepare(change: Change) -> dict[str, Any]:
        # Before the request is read: others get the same refusal for every request.
        change.require(Act.ISSUE_TOKENS, instance_id)
        task_id = None if request.task_id is None else check_task_id(request.task_id)
        allowed = _check_acts(request.acts, FOR_FRONT_ENDS if task_id is None else _WITH_A_TASK)
        for act in allowed:
            change.require(act, instance_id)
        same = (Task.id == task_id, Task.instance_id == instance_id)
        if task_id is not None and change.session.scalar(select(Task.id).where(*same)) is None:
            raise NotFound("there is no such task", field="task_id")
        values = _new_values("front_end", token_id, request.name, context.caller.actor, allowed)
        values |= {"instance_id": instance_id, "task_id": task_id}
        values["fields"] = None if request.fields is None else _check_fields(request.fields)
        values["expires_at"] = _expiry(request.lifetime, longest, None)
        tokens.require_key()
        return values

    row = _store(context, prepare, _are_of(instance_id), settings.front_end_tokens)
    assert row.expires_at is not None
    secret = tokens.sign_front_end(row.id, instance_id, row.expires_at)
    return CreatedToken(token=view_row(TokenView, row), secret=secret)


def list_own(context: CallContext) -> list[TokenView]:
    """Return the caller's valid personal tokens, the latest first. Raises as `issue_personal` does."""
    actor = context.caller.actor
    require_outside(actor, Act.MANAGE_OWN_TOKENS)
    with context.db.read() as session:
        return _list(session, _are_personal(actor))


def list_front_ends(context: CallContext, instance_id: str) -> list[TokenView]:
    """Return an instance's valid API tokens, the latest first. Raises as `issue_front_end` does."""
    with context.db.read() as session:
        require(session, context.caller.actor, Act.ISSUE_TOKENS, check_instance_id(instance_id))
        return _list(session, _are_of(instance_id))


def revoke_own(context: CallContext, token_id: str) -> None:
    """Revoke a personal token of the caller; a second call changes nothing. Raises as `issue_personal` does."""
    actor = context.caller.actor

    def check(change: Change) -> None:
        # A caller may always revoke the token that authenticates the request.
        if token_id != actor.token_id:
            change.require_outside(Act.MANAGE_OWN_TOKENS)

    _revoke(context, token_id, check, _are_personal(actor))


def revoke_front_end(context: CallContext, instance_id: str, token_id: str) -> None:
    """Revoke an API token; a second call changes nothing. Raises as `issue_front_end` does; NotFound without one."""
    instance_id = check_instance_id(instance_id)

    def check(change: Change) -> None:
        change.require(Act.ISSUE_TOKENS, instance_id)

    _revoke(context, token_id, check, _are_of(instance_id))


def _are_personal(actor: Actor) -> list[ColumnElement[bool]]:
    return [AccessToken.kind == "personal", AccessToken.user_id == (actor.user_id or "")]


def _are_of(instance_id: str) -> list[ColumnElement[bool]]:
    return [AccessToken.kind == "front_end", AccessToken.instance_id == instance_id]


def _new_values(kind: str, token_id: str, name: str, actor: Actor, acts: Collection[Act] | None) -> dict[str, Any]:
    allowed = None if acts is None else sorted(acts)
    name = check_line(name, "name", longest=200)
    return {"id": token_id, "kind": kind, "name": name, "user_id": actor.user_id, "acts": allowed}


def _store(context: CallContext, prepare: Prepare, same: list[ColumnElement[bool]], most: int) -> AccessToken:
    def work(change: Change) -> AccessToken:
        values = prepare(change)
        row = change.session.get(AccessToken, values["id"])
        if row is not None:
            # The commit of an earlier try succeeded.
            return row
        instance_id = values["instance_id"]
        if instance_id is not None and read_head(change.session, instance_id) is None:
            raise NotFound("there is no such instance", field="instance_id")
        valid = [select(AccessToken.id).where(*same, half).limit(most) for half in _are_valid(change.now)]
        if sum(len(change.session.scalars(half).all()) for half in valid) >= most:
            raise TooMany(f"there are {most} of these tokens already; revoke one first")
        row = AccessToken(**values, created_at=change.now)
        change.session.add(row)
        change.session.flush()
        detail = {"kind": row.kind, "name": row.name, "acts": row.acts, "expires_at": stamp(row.expires_at)}
        change.audit(_audit_scope(row), "token.mint", "token", row.id, detail)
        return row

    return context.commit(work)


def _list(session: Session, which: list[ColumnElement[bool]]) -> list[TokenView]:
    rows = [row for half in _are_valid(now()) for row in session.scalars(select(AccessToken).where(*which, half))]
    rows.sort(key=lambda row: row.id)
    rows.sort(key=lambda row: row.created_at, reverse=True)
    return [view_row(TokenView, row) for row in rows]


def _revoke(context: CallContext, token_id: str, check: Check, which: list[ColumnElement[bool]]) -> None:
    def work(change: Change) -> None:
        check(change)
        change.exclude_changes()
        query = select(AccessToken).where(AccessToken.id == check_task_id(token_id, "token_id"), *which)
        row = change.session.scalars(query.with_for_update()).one_or_none()
        if row is None:
            raise NotFound("there is no such token", field="token_id")
        if row.revoked_at is None:
            row.revoked_at = change.now
            raise_version(change.session)
            detail = {"kind": row.kind, "name": row.name}
            change.audit(_audit_scope(row), "token.revoke", "token", row.id, detail)

    context.commit(work)


def _audit_scope(row: AccessToken) -> str:
    return str(row.instance_id) if row.kind == "front_end" else SYSTEM_SCOPE


def _are_valid(moment: datetime) -> list[ColumnElement[bool]]:
    """Return the conditions of two halves of the valid tokens; an index finds each and skips the expired ones."""
    return [
        AccessToken.revoked_at.is_(None) & lasting
        for lasting in (AccessToken.expires_at.is_(None), AccessToken.expires_at > moment)
    ]


def _check_acts(acts: Collection[str], possible: frozenset[Act]) -> frozenset[Act]:
    names = {act.value for act in possible}
    if not acts or not names.issuperset(acts):
        raise InvalidInput(f"acts must be some of {', '.join(sorted(names))}", field="acts")
    allowed = frozenset(Act(act) for act in acts)
    if allowed & set(LEAST_ROLE) and Act.READ not in allowed:
        raise InvalidInput(f"acts must include {Act.READ} to allow anything in an instance", field="acts")
    return allowed


def _check_fields(fields: Collection[str]) -> list[str]:
    if not (MASKABLE | ALWAYS_SHOWN).issuperset(fields):
        raise InvalidInput(f"fields must be some of {', '.join(sorted(MASKABLE))}", field="fields")
    return sorted(set(fields))


def _read_expiry(session: Session, actor: Actor) -> datetime | None:
    """Return when the caller's personal token expires: a token issued with it must not live longer."""
    same = (AccessToken.id == (actor.token_id or ""), AccessToken.kind == "personal")
    return session.scalar(select(AccessToken.expires_at).where(*same))


def _expiry(lifetime: float | None, longest: timedelta, until: datetime | None) -> datetime:
    """Return when a new token expires: at `until` at the latest. Raises InvalidInput for a longer `lifetime`."""
    if lifetime is not None and not 1 <= lifetime <= longest.total_seconds():
        most = f"{longest.total_seconds():.0f}"
        raise InvalidInput(f"lifetime must be a number of seconds, at least 1 and at most {most}", field="lifetime")
    expires = now() + (longest if lifetime is None else timedelta(seconds=lifetime))
    if until is None or expires <= until:
        return expires
    if lifetime is not None:
        raise InvalidInput(
            f"lifetime must end by {stamp(until)}, when the token that you use expires; sign in for longer, such as "
            "with `swallowtail login --for 30d`, or request less",
            field="lifetime",
        )
    return until
