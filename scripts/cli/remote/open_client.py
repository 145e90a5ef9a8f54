"""Opens the client of the server for one command, and translates its errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import quote

from swallowtail.scripts.cli.remote.error_messages import not_ours, translate_errors
from swallowtail.scripts.cli.remote.server_address import Server, choose_server

if TYPE_CHECKING:
    import httpx2

    from swallowtail.client import Client

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
    from swallowtail.scripts.cli.remote.command_client import CommandClient

    with translate_errors(server), CommandClient(server.url, server.token, transport=transport) as client:
        yield client


def download(path: str, *media_types: str) -> Iterator[bytes]:
    """Yield the pieces of a large answer of the chosen server, of one of these types. Raises as `open_client` does."""
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
        if response.headers.get("Content-Type", "").partition(";")[0] not in media_types:
            raise not_ours(server.url)
        yield from response.iter_bytes()


def api_path(*parts: str) -> str:
    """Return a path of the REST API, each part quoted."""
    return "/".join(["/api/v1", *(quote(part, safe="") for part in parts)])
