"""Opens the client of the server for one command, and translates its errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import quote

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
from swallowtail.scripts.cli.remote.server_address import Server, choose_server

if TYPE_CHECKING:
    import httpx2

    from swallowtail.client import Client

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
_UNUSABLE = ("unknown_host", "not_from_here", "not_json")
#: Seconds without a piece of a large answer.
_TIMEOUT = 30.0
#: What sends requests in place of the network, for tests.
transport: httpx2.BaseTransport | None = None


@contextmanager
def open_client() -> Iterator[Client]:
    """Open a client of the chosen server, as the signed-in user. Raises as `choose_server`, and every API error."""
    server = choose_server()
    with open_client_of(server) as client:
        yield client


@contextmanager
def open_client_of(server: Server) -> Iterator[Client]:
    """Open a client of a server. Raises the error of each answer, and Unavailable if nothing answers."""
    # The library takes a tenth of a second to import, which `--help` should not.
    from swallowtail.client.client import Client

    with translate_errors(server), Client(server.url, server.token, transport=transport) as client:
        yield client


def download(path: str) -> Iterator[bytes]:
    """Yield the pieces of a large answer of the chosen server. Raises as `open_client` does."""
    import httpx2

    from swallowtail.client.rest.flows import read_json
    from swallowtail.client.rest.transport import lost_requests

    server = choose_server()
    headers = {"Authorization": f"Bearer {server.token}"} if server.token else {}
    with (
        translate_errors(server),
        lost_requests(server.url),
        httpx2.Client(base_url=server.url, transport=transport, timeout=_TIMEOUT) as client,
        client.stream("GET", path, headers=headers) as response,
    ):
        if not response.is_success:
            response.read()
            read_json(response)
        yield from response.iter_bytes()


@contextmanager
def translate_errors(server: Server) -> Iterator[None]:
    """Raise the domain's errors in place of the client's, with what to do about them."""
    try:
        yield
    except api.ConnectionFailed as error:
        raise Unavailable(_describe_silence(server, error)) from None
    except api.Unauthenticated as error:
        raise Unauthenticated(_describe_sign_in(server, error)) from None
    except api.ApiError as error:
        raise translate(error, server) from None
    except ValueError as error:
        # Of the JSON encoder, or about a token that no header can hold.
        text = "NaN and Infinity are not finite numbers" if "JSON compliant" in str(error) else str(error)
        raise InvalidInput(text) from None


def translate(error: api.ApiError, server: Server | None = None) -> SwallowtailError:
    """Return the domain's error for an answer of the server."""
    if error.code in _UNUSABLE:
        where = f"{server.url}: " if server is not None else ""
        return Unavailable(f"{where}{error.message}")
    kind = TooMany if error.code == "too_many" else _KINDS.get(type(error), SwallowtailError)
    message = error.message if kind is not SwallowtailError else f"{error.message} ({error.code})"
    return kind(message, field=error.field)


def api_path(*parts: str) -> str:
    """Return a path of the REST API, each part quoted."""
    return "/".join(["/api/v1", *(quote(part, safe="") for part in parts)])


def _describe_silence(server: Server, error: Exception) -> str:
    remedy = "name another one with --url"
    if server.is_own:
        remedy = "start it with `swallowtail up`, or name another server with --url or `swallowtail login URL`"
    return f"{error} ({server.origin}); {remedy}"


def _describe_sign_in(server: Server, error: api.Unauthenticated) -> str:
    address = "" if server.is_own else f" {server.url}"
    if server.token is None:
        return f"you are not signed in; run `swallowtail login{address}`"
    return f"{error.message}; run `swallowtail login{address}`"
