"""Translates the client's errors: what happened, at which server, and what to do about it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from swallowtail.app.core.errors import (
    Conflict,
    Forbidden,
    InvalidInput,
    NotFound,
    SwallowtailError,
    TooFast,
    TooMany,
    Unauthenticated,
    Unavailable,
)
from swallowtail.client import errors as api
from swallowtail.scripts.cli.remote.server_address import Server

#: The error for each kind of answer, and for codes that share their status with other kinds.
_KINDS: dict[type[api.ApiError], type[SwallowtailError]] = {
    api.InvalidInput: InvalidInput,
    api.Unauthenticated: Unauthenticated,
    api.Forbidden: Forbidden,
    api.NotFound: NotFound,
    api.Conflict: Conflict,
    api.TooFast: TooFast,
    api.Unavailable: Unavailable,
}
#: Problems of an address rather than of a request.
_UNUSABLE = ("unknown_host", "not_from_here")
_FOREIGN = ("not_json", "unknown_answer")
#: What a proxy answers when the server behind it is away.
_PROXY_STATUSES = (502, 503, 504)
#: Where the user finds an id, by the field of the REST API.
_SOURCES = {
    "instance_id": "`swallowtail instances` lists yours",
    "task_id": "`swallowtail list INSTANCE` lists tasks",
    "schedule_id": "`swallowtail schedule list INSTANCE` lists schedules",
}
_ERRNO = re.compile(r"\[Errno -?\d+\] ")


@contextmanager
def translate_errors(server: Server) -> Iterator[None]:
    """Raise the domain's errors in place of the client's, with what to do about them."""
    try:
        yield
    except api.ConnectionFailed as error:
        raise Unavailable(_describe_silence(server, error)) from None
    except api.ApiError as error:
        raise translate(error, server) from None
    except ValueError as error:
        # Of the JSON encoder, or about a token that no header can hold.
        text = "NaN and Infinity are not finite numbers" if "JSON compliant" in str(error) else str(error)
        raise InvalidInput(text) from None


def translate(error: api.ApiError, server: Server | None = None) -> SwallowtailError:
    """Return the domain's error for an answer of the server."""
    where = f"{server.url}: " if server is not None else ""
    if error.code in _UNUSABLE:
        return Unavailable(f"{where}{error.message}")
    if server is not None:
        if error.code in _FOREIGN or error.code.startswith("http_") or _is_unknown_path(error):
            return _describe_foreign(error, server)
        if isinstance(error, api.Unauthenticated):
            return Unauthenticated(_describe_sign_in(server, error))
    kind = TooMany if error.code == "too_many" else _KINDS.get(type(error), SwallowtailError)
    message = error.message if kind is not SwallowtailError else f"{error.message} ({error.code})"
    source = _SOURCES.get(error.field or "")
    if source is not None and (kind is NotFound or message.endswith("UUID")):
        message = f"{message}; {source}"
    return kind(message, field=error.field)


def not_ours(url: str) -> Unavailable:
    """Return the error for an answer of another program."""
    return Unavailable(f"the program at {url} is not a Swallowtail server; check the URL")


def _is_unknown_path(error: api.ApiError) -> bool:
    """Return whether the server has nothing at the path of a request: the path of its URL is wrong."""
    return error.code == "not_found" and error.field is None and "URL" in error.message


def _describe_foreign(error: api.ApiError, server: Server) -> Unavailable:
    if error.code.startswith("http_") and error.status in _PROXY_STATUSES:
        return Unavailable(f"a proxy at {server.url} cannot reach the server (status {error.status}); try again later")
    if _is_unknown_path(error):
        return Unavailable(f"there is no Swallowtail server at the path of {server.url}; {_check(server)}")
    status = f" (status {error.status})" if error.status >= 400 else ""
    return Unavailable(f"the program at {server.url} is not a Swallowtail server{status}; {_check(server)}")


def _describe_silence(server: Server, error: Exception) -> str:
    text = _ERRNO.sub("", str(error))
    if "WRONG_VERSION_NUMBER" in text:
        text = f"{server.url} answers without TLS, as http:// addresses do"
    return f"{text}; {_check(server)}"


def _check(server: Server) -> str:
    """Return what to do about the address of a server, by where it is from."""
    if server.is_own:
        return "start a server with `swallowtail up`, or name another one with --url or `swallowtail login URL`"
    if "://" in server.origin:
        return "check the URL"
    return f"check {server.origin}{'' if server.origin == '--url' else ', or name another server with --url'}"


def _describe_sign_in(server: Server, error: api.Unauthenticated) -> str:
    address = "" if server.is_own else f" {server.url}"
    if server.token is None:
        return f"you are not signed in; run `swallowtail login{address}`"
    return f"{error.message}; run `swallowtail login{address}`"
