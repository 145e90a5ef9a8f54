"""Signs users in by name and password, for REST and the login page, and limits the attempts.

The caller is still anonymous: audit entries about an attempt have an address and no user.
"""

from __future__ import annotations

from flask import request

from swallowtail.app.core.errors import Unauthenticated
from swallowtail.app.core.identity import sessions, user_passwords
from swallowtail.app.core.identity.sessions import SignedIn
from swallowtail.app.core.runtime import Runtime
from swallowtail.app.web.container import get_container
from swallowtail.app.web.request.current_caller import act, get_anonymous_caller, get_caller


def sign_in(name: str, password: str) -> SignedIn:
    """Start a session for a user name and its password.

    Raises TooFast, or Unauthenticated, which hides whether the name, the password or the account is the reason.
    """
    web, address = get_container(), request.remote_addr or ""
    web.limits.count_login(name, address)
    try:
        signed_in = sessions.sign_in(act_anonymously(), web.tokens, name, password)
    except Unauthenticated:
        web.denials.note_failed_login(act_anonymously().caller, name)
        raise
    web.limits.clear_login(name, address)
    return signed_in


def change_password(present: str, new: str) -> None:
    """Change the caller's password; counts as a login. Raises TooFast, Forbidden, InvalidInput, Conflict."""
    web, caller = get_container(), get_caller()
    web.limits.count_login(caller.actor.name, caller.address)
    user_passwords.change_own_password(act(), present, new)
    web.limits.clear_login(caller.actor.name, caller.address)


def refresh(session_token: str) -> SignedIn:
    """Renew a session. Raises Unauthenticated."""
    return sessions.refresh(act_anonymously(), get_container().tokens, session_token)


def act_anonymously() -> Runtime:
    """Return the runtime, acting for the unauthenticated caller of the current request."""
    return get_container().rt.by(get_anonymous_caller())
