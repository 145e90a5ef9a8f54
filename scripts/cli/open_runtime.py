"""Opens the database for one command of an operator, as the signed-in user or as the operator."""

from __future__ import annotations

import os
import pwd
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError

from swallowtail.app.core.config.settings import Settings, load_settings
from swallowtail.app.core.deployment_identity import join
from swallowtail.app.core.errors import Unauthenticated, Unavailable
from swallowtail.app.core.identity.authenticate import Tokens
from swallowtail.app.core.logs.setup import configure_logging
from swallowtail.app.core.process.library_check import COMMAND, check_libraries
from swallowtail.app.core.runtime import Runtime
from swallowtail.app.core.security.actors import Actor, Caller
from swallowtail.scripts.cli.remote.server_address import choose_server

_NOT_SET_UP = "the database is not set up; run swallowtail up, or swallowtail release"


@contextmanager
def open_runtime() -> Iterator[Runtime]:
    """Open the runtime for the signed-in user. Raises SettingsError, Unauthenticated, Unavailable."""
    with open_anonymous_runtime() as (anonymous, tokens):
        yield anonymous.by(make_caller(_signed_in_actor(anonymous, tokens)))


@contextmanager
def open_anonymous_runtime() -> Iterator[tuple[Runtime, Tokens]]:
    """Open the runtime without a caller, and what signs and reads tokens. Raises SettingsError, Unavailable."""
    check_libraries(*COMMAND)
    settings = load_settings()
    _silence_logs(settings)
    _check_database_file(settings)
    try:
        runtime = Runtime.build(join(settings), for_runs=False)
        try:
            yield runtime, Tokens(runtime)
        finally:
            runtime.close()
    except DBAPIError as error:
        raise Unavailable(_describe(error)) from None


@contextmanager
def open_runtime_as(operator: bool) -> Iterator[Runtime]:
    """Open the runtime for the operator, or for the signed-in user. Raises as `open_runtime` does."""
    if operator:
        with open_anonymous_runtime() as (runtime, _):
            yield runtime.by(make_caller(_operator()))
    else:
        with open_runtime() as runtime:
            yield runtime


def make_caller(actor: Actor) -> Caller:
    """Return the caller for an actor; the audit log names the account and the machine."""
    return Caller(actor, "cli", f"{_account_name()}@{socket.gethostname()}"[:64])


def _operator() -> Actor:
    """Return the operator, who may do everything: an account that can read the settings can change the database."""
    return Actor("open", "operator", f"operator {_account_name()}"[:100], is_superuser=True)


def _account_name() -> str:
    # Not from the environment, which any user can set.
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"


def _signed_in_actor(runtime: Runtime, tokens: Tokens) -> Actor:
    token = choose_server().token
    if token is None and runtime.settings.is_open:
        return _operator()
    if token is None:
        raise Unauthenticated("you are not signed in; run `swallowtail login`")
    try:
        return tokens.read(token)
    except Unauthenticated as error:
        raise Unauthenticated(f"{error.message}; run `swallowtail login`") from None


def _describe(error: DBAPIError) -> str:
    text = str(error.orig).lower()
    missing = isinstance(error, OperationalError | ProgrammingError) and (
        "no such table" in text or "not exist" in text
    )
    return _NOT_SET_UP if missing else f"database error: {str(error.orig).splitlines()[0]}"


def _silence_logs(settings: Settings) -> None:
    """Log only at level DEBUG: the command prints its own messages."""
    if settings.log_level != "DEBUG":
        settings = settings.model_copy(update={"log_level": "CRITICAL"})
    configure_logging(settings)


def _check_database_file(settings: Settings) -> None:
    """Raise Unavailable instead of creating an empty SQLite database."""
    path = settings.database_file
    if path is not None and not path.exists():
        raise Unavailable(f"there is no database at {path}; run swallowtail up, or swallowtail release")
