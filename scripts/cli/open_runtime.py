"""The domain as the command uses it: opened for one command, quiet, and sure that there is a database to use."""

from __future__ import annotations

import os
import pwd
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from swallowtail.app.core.config.settings import Settings, load_settings
from swallowtail.app.core.deployment import join
from swallowtail.app.core.errors import Unauthenticated, Unavailable
from swallowtail.app.core.identity.authenticate import Tokens
from swallowtail.app.core.logs.setup import configure_logging
from swallowtail.app.core.runtime import Runtime
from swallowtail.app.core.security.permissions import Actor, Caller
from swallowtail.scripts.cli.token_store import find_token


@contextmanager
def open_domain() -> Iterator[Runtime]:
    """Give the domain on the settings of the environment, acting for whoever signed in.

    Raises:
        SettingsError: a setting cannot be used.
        Unauthenticated: nobody signed in, or their token is good no longer.
        Unavailable: there is no database file.
    """
    with open_unknown() as runtime:
        yield runtime.by(call_as(_identify(runtime)))


@contextmanager
def open_unknown() -> Iterator[Runtime]:
    """Give the domain before anybody has said who they are: for signing in. Raises as `open_domain` does."""
    settings = load_settings()
    _be_quiet(settings)
    _check_database_file(settings)
    runtime = Runtime.build(join(settings), for_runs=False)
    try:
        yield runtime
    finally:
        runtime.close()


@contextmanager
def open_as(operator: bool) -> Iterator[Runtime]:
    """Give the domain acting for the operator, or for whoever signed in. Raises as `open_domain` does."""
    if operator:
        with open_unknown() as runtime:
            yield as_operator(runtime)
    else:
        with open_domain() as runtime:
            yield runtime


def as_operator(runtime: Runtime) -> Runtime:
    """Return the domain acting for whoever runs this machine: may do everything, and stands in the audit log for it.

    Anybody who can read the settings of a deployment can open its database, and with it do everything: asking them to
    sign in would protect nothing. They say so themselves (`--as-operator`), so that it does not happen unseen.
    """
    return runtime.by(call_as(_find_operator()))


def call_as(actor: Actor) -> Caller:
    """Return somebody as the caller of this command: from an account on a machine, which stands in the audit log."""
    return Caller(actor, "cli", f"{_find_account()}@{socket.gethostname()}"[:64])


def _find_operator() -> Actor:
    return Actor("open", "operator", f"operator {_find_account()}"[:100], is_superuser=True)


def _find_account() -> str:
    # Not what the environment says: anybody can say anything there.
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"


def _identify(runtime: Runtime) -> Actor:
    token = find_token(runtime.settings)
    if token is None and runtime.settings.is_open:
        return _find_operator()
    if token is None:
        raise Unauthenticated("you are not signed in; run `swallowtail login`")
    try:
        return Tokens(runtime).read(token)
    except Unauthenticated as refused:
        raise Unauthenticated(f"{refused.message}; run `swallowtail login`") from None


def _be_quiet(settings: Settings) -> None:
    """Log only when somebody asked for everything: what matters is told in the command's own words."""
    if settings.log_level != "DEBUG":
        settings = settings.model_copy(update={"log_level": "CRITICAL"})
    configure_logging(settings)


def _check_database_file(settings: Settings) -> None:
    """Refuse to begin an empty SQLite database: without tables it would only be in the way."""
    path = settings.database_file
    if path is not None and not path.exists():
        raise Unavailable(f"there is no database at {path}; run ./scripts/up, or python -m swallowtail.workers.release")
