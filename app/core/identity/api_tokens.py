"""Issues, lists and revokes personal tokens (for scripts) and API tokens (for front ends).

No token allows more than its creator may do. `FOR_FRONT_ENDS` lists what an API token may allow.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from swallowtail.app.core.audit.writer import SYSTEM_SCOPE
from swallowtail.app.core.call_context import CallContext
from swallowtail.app.core.errors import Forbidden, InvalidInput, NotFound, TooMany
from swallowtail.app.core.events import now, stamp
from swallowtail.app.core.identity.authenticate import Tokens
from swallowtail.app.core.ledger.event_log import Change, read_head
from swallowtail.app.core.schemas.identities import CreatedToken, NewFrontEndToken, NewToken, TokenView
from swallowtail.app.core.security.field_mask import KEPT, NAMEABLE
from swallowtail.app.core.security.permission_version import raise_version
from swallowtail.app.core.security.permissions import require, require_outside
from swallowtail.app.core.security.roles import LEAST_ROLE, Act
from swallowtail.app.core.security.token_secrets import make_secret
from swallowtail.app.core.tables.auth import AccessToken
from swallowtail.app.core.tables.tasks import Task
from swallowtail.app.core.validation import check_instance_id, check_line, check_task_id

#: Checks, in the transaction of a change, whether the caller may make it.
Check = Callable[[Change], object]

#: Acts that an API token may allow.
FOR_FRONT_ENDS = frozenset({Act.READ, Act.SUBMIT, Act.CANCEL, Act.RETRY})
#: Acts that an API token for one task may allow.
_WITH_A_TASK = frozenset({Act.READ, Act.CANCEL, Act.RETRY})


def issue_personal(runtime: CallContext, request: NewToken) -> CreatedToken:
    """Issue a token with which a program acts as the caller.

    Raises:
        Unauthenticated, Forbidden: the caller is no user, or shows a token that allows less.
        NotFound: there is no such instance for the caller.
        InvalidInput: names the field that is wrong.
        TooMany: the caller has as many as one may have.
    """
    actor = runtime.caller.actor
    require_outside(actor, Act.MANAGE_OWN_TOKENS)
    if actor.user_id is None:
        raise Forbidden("only users have personal tokens")
    acts = None if request.acts is None else _check_acts(request.acts, frozenset(Act))
    if actor.acts is not None and (acts is None or not acts <= actor.acts):
        raise Forbidden("a token cannot create a token with more permissions")
    instance_id = None if request.instance_id is None else check_instance_id(request.instance_id)

    def check(change: Change) -> None:
        change.require_outside(Act.MANAGE_OWN_TOKENS)
        if instance_id is not None:
            change.require(Act.READ, instance_id)

    row = AccessToken(
        kind="personal", user_id=actor.user_id, acts=None if acts is None else sorted(acts), instance_id=instance_id
    )
    longest = timedelta(days=runtime.settings.personal_token_days)
    row.expires_at = _expiry(request.lifetime, longest, _end_of_personal(runtime, actor.token_id))
    row.id, row.name = str(uuid.uuid4()), check_line(request.name, "name", longest=200)
    secret = make_secret("personal", row.id)
    row.secret_hash = secret.hash
    mine = (AccessToken.kind == "personal", AccessToken.user_id == actor.user_id)
    view = _store(runtime, row, mine, runtime.settings.personal_tokens, SYSTEM_SCOPE, check)
    return CreatedToken(token=view, secret=secret.text)


def issue_front_end(runtime: CallContext, tokens: Tokens, instance_id: str, request: NewFrontEndToken) -> CreatedToken:
    """Issue a token that shows one instance, or one task, to a front end.

    Raises:
        Unauthenticated, NotFound, Forbidden: the caller may not mint, or not do what the token is to allow.
        InvalidInput: names the field that is wrong.
        TooMany: the instance has as many as it may have.
        NotSetUp: there is no key to sign with.
    """
    actor = runtime.caller.actor
    instance_id = check_instance_id(instance_id)
    with runtime.db.read() as session:
        require(session, actor, Act.ISSUE_TOKENS, instance_id)
        acts = _check_acts(request.acts, FOR_FRONT_ENDS if request.task_id is None else _WITH_A_TASK)
        for act in acts:
            require(session, actor, act, instance_id)
        task_id = None if request.task_id is None else _check_task(session, instance_id, request.task_id)

    def check(change: Change) -> None:
        for act in (Act.ISSUE_TOKENS, *acts):
            change.require(act, instance_id)

    row = AccessToken(kind="front_end", instance_id=instance_id, task_id=task_id, acts=sorted(acts))
    row.id, row.name, row.user_id = str(uuid.uuid4()), check_line(request.name, "name", longest=200), actor.user_id
    row.fields = None if request.fields is None else _check_fields(request.fields)
    expires = _expiry(request.lifetime, timedelta(hours=runtime.settings.front_end_token_hours), None)
    row.expires_at = expires
    signed = tokens.sign_front_end(row, expires)
    theirs = (AccessToken.kind == "front_end", AccessToken.instance_id == instance_id)
    view = _store(runtime, row, theirs, runtime.settings.front_end_tokens, instance_id, check)
    return CreatedToken(token=view, secret=signed)


def list_own(runtime: CallContext) -> list[TokenView]:
    """Return the caller's personal tokens that are good, the latest first. Raises as `issue_personal` does."""
    actor = runtime.caller.actor
    require_outside(actor, Act.MANAGE_OWN_TOKENS)
    return _list(runtime, AccessToken.kind == "personal", AccessToken.user_id == (actor.user_id or ""))


def list_front_ends(runtime: CallContext, instance_id: str) -> list[TokenView]:
    """Return an instance's valid API tokens, the latest first. Raises as `issue_front_end` does."""
    with runtime.db.read() as session:
        require(session, runtime.caller.actor, Act.ISSUE_TOKENS, check_instance_id(instance_id))
    return _list(runtime, AccessToken.kind == "front_end", AccessToken.instance_id == instance_id)


def revoke_own(runtime: CallContext, token_id: str) -> None:
    """Revoke a personal token of the caller; a second call changes nothing.

    Raises:
        Unauthenticated, Forbidden, InvalidInput: see `issue_personal`.
        NotFound: the caller has no such token.
    """
    actor = runtime.caller.actor

    def check(change: Change) -> None:
        # Giving back the token that one shows takes no permission.
        if token_id != actor.token_id:
            change.require_outside(Act.MANAGE_OWN_TOKENS)

    mine = (AccessToken.kind == "personal", AccessToken.user_id == (actor.user_id or ""))
    _revoke(runtime, check_task_id(token_id, "token_id"), mine, SYSTEM_SCOPE, check)


def revoke_front_end(runtime: CallContext, instance_id: str, token_id: str) -> None:
    """Revoke an API token; a second call changes nothing. Raises as `issue_front_end` does; NotFound without one."""
    instance_id = check_instance_id(instance_id)
    theirs = (AccessToken.kind == "front_end", AccessToken.instance_id == instance_id)
    check = partial(Change.require, act=Act.ISSUE_TOKENS, instance_id=instance_id)
    _revoke(runtime, check_task_id(token_id, "token_id"), theirs, instance_id, check)


def view_token(row: AccessToken) -> TokenView:
    """Return the view of a token for its owner."""
    return TokenView(
        id=row.id,
        kind=row.kind,
        name=row.name,
        acts=row.acts,
        instance_id=row.instance_id,
        task_id=row.task_id,
        fields=row.fields,
        expires_at=stamp(row.expires_at),
        revoked_at=stamp(row.revoked_at),
        last_used_at=stamp(row.last_used_at),
        created_at=stamp(row.created_at),
    )


def _store(
    runtime: CallContext, new: AccessToken, same: Collection[ColumnElement[bool]], most: int, scope: str, check: Check
) -> TokenView:
    values = {column.name: getattr(new, column.name) for column in AccessToken.__table__.columns}

    def work(change: Change) -> AccessToken:
        check(change)
        known = change.session.get(AccessToken, new.id)
        if known is not None:
            # The commit of an earlier try succeeded.
            return known
        if new.instance_id is not None and read_head(change.session, new.instance_id) is None:
            raise NotFound("there is no such instance", field="instance_id")
        good = [select(AccessToken.id).where(*same, half).limit(most) for half in _are_good(change.now)]
        if sum(len(change.session.scalars(half).all()) for half in good) >= most:
            raise TooMany(f"there are {most} of these tokens already; revoke one first")
        row = AccessToken(**{**values, "created_at": change.now})
        change.session.add(row)
        change.session.flush()
        detail = {"kind": row.kind, "name": row.name, "acts": row.acts, "expires_at": stamp(row.expires_at)}
        change.audit(scope, "token.mint", "token", row.id, detail)
        return row

    return view_token(runtime.commit(work))


def _list(runtime: CallContext, *which: ColumnElement[bool]) -> list[TokenView]:
    good = [select(AccessToken).where(*which, half) for half in _are_good(now())]
    with runtime.db.read() as session:
        rows = [row for half in good for row in session.scalars(half)]
    rows.sort(key=lambda row: row.id)
    rows.sort(key=lambda row: row.created_at, reverse=True)
    return [view_token(row) for row in rows]


def _revoke(
    runtime: CallContext, token_id: str, which: Collection[ColumnElement[bool]], scope: str, check: Check
) -> None:
    def work(change: Change) -> None:
        check(change)
        query = select(AccessToken).where(AccessToken.id == token_id, *which).with_for_update()
        row = change.session.scalars(query).one_or_none()
        if row is None:
            raise NotFound("there is no such token", field="token_id")
        if row.revoked_at is None:
            row.revoked_at = change.now
            raise_version(change.session)
            change.audit(scope, "token.revoke", "token", row.id, {"kind": row.kind, "name": row.name})

    runtime.commit(work)


def _are_good(moment: datetime) -> list[ColumnElement[bool]]:
    """Return what is true of either half of the good tokens: each is found by an index, past those that expired."""
    return [
        AccessToken.revoked_at.is_(None) & lasting
        for lasting in (AccessToken.expires_at.is_(None), AccessToken.expires_at > moment)
    ]


def _check_acts(wished: Collection[str], possible: frozenset[Act]) -> frozenset[Act]:
    names = {act.value for act in possible}
    if not wished or not all(act in names for act in wished):
        raise InvalidInput(f"acts must be some of {', '.join(sorted(names))}", field="acts")
    acts = frozenset(Act(act) for act in wished)
    if acts & set(LEAST_ROLE) and Act.READ not in acts:
        raise InvalidInput(f"acts must have {Act.READ} among them to allow anything in an instance", field="acts")
    return acts


def _check_fields(wished: Collection[str]) -> list[str]:
    if not all(name in NAMEABLE | KEPT for name in wished):
        raise InvalidInput(f"fields must be some of {', '.join(sorted(NAMEABLE))}", field="fields")
    return sorted(set(wished))


def _check_task(session: Session, instance_id: str, task_id: str) -> str:
    task_id = check_task_id(task_id)
    if session.scalar(select(Task.id).where(Task.id == task_id, Task.instance_id == instance_id)) is None:
        raise NotFound("there is no such task", field="task_id")
    return task_id


def _end_of_personal(runtime: CallContext, token_id: str | None) -> datetime | None:
    """Return when the caller's personal token expires: a token issued with it must not live longer."""
    with runtime.db.read() as session:
        same = (AccessToken.id == (token_id or ""), AccessToken.kind == "personal")
        return session.scalar(select(AccessToken.expires_at).where(*same))


def _expiry(lifetime: float | None, longest: timedelta, until: datetime | None) -> datetime:
    """Return when a new token expires: at `until` at the latest. Raises InvalidInput for a longer `lifetime`."""
    if lifetime is not None and not 1 <= lifetime <= longest.total_seconds():
        most = f"{longest.total_seconds():.0f}"
        raise InvalidInput(f"lifetime must be seconds, at least 1 and at most {most}", field="lifetime")
    expires = now() + (longest if lifetime is None else timedelta(seconds=lifetime))
    if until is None or expires <= until:
        return expires
    if lifetime is not None:
        raise InvalidInput(
            f"lifetime must end by {stamp(until)}, when the token that you show does; sign in for longer, such as with "
            "`swallowtail login --for 30d`, or ask for less",
            field="lifetime",
        )
    return until
