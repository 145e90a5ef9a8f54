"""Where names and passwords come in, from REST and from the page alike. Before the road; what limits tries is here.

Nobody has said yet who they are: what is written down about a try is by nobody, from an address.
"""

from __future__ import annotations

from flask import request

from swallowtail.app.core.errors import Unauthenticated
from swallowtail.app.core.identity import sessions, users
from swallowtail.app.core.identity.sessions import SignedIn
from swallowtail.app.core.runtime import Runtime
from swallowtail.app.web.container import get_container
from swallowtail.app.web.request.current_caller import act, get_anonymous_caller, get_caller


def sign_in(name: str, password: str) -> SignedIn:
    """Begin a session for whoever knows this name and its password.

    Raises:
        Unauthenticated: the name is unknown, the password wrong, or the user disabled; nobody learns which.
        TooFast: too many tried, or too many passwords are being checked.
    """
    web, address = get_container(), request.remote_addr or ""
    web.limits.count_login(name, address)
    try:
        signed_in = sessions.sign_in(act_as_nobody(), web.tokens, name, password)
    except Unauthenticated:
        web.denials.note_failed_login(act_as_nobody().caller, name)
        raise
    web.limits.clear_login(name, address)
    return signed_in


def change_password(present: str, new: str) -> None:
    """Give the caller another password: a try at the present one counts as one to sign in. Raises as `sign_in` does.

    Raises:
        Forbidden: the present password is wrong, or the caller shows a token that allows less than everything.
        InvalidInput: the new password cannot be used.
        Conflict: an identity provider vouches for this user.
    """
    web, caller = get_container(), get_caller()
    web.limits.count_login(caller.actor.name, caller.address)
    users.change_own_password(act(), present, new)
    web.limits.clear_login(caller.actor.name, caller.address)


def refresh(session_token: str) -> SignedIn:
    """Go on with a session. Raises Unauthenticated."""
    return sessions.refresh(act_as_nobody(), get_container().tokens, session_token)


def act_as_nobody() -> Runtime:
    """Return the domain for whoever makes the request and is not known yet."""
    return get_container().rt.by(get_anonymous_caller())
