"""The Python client with TLS and below a path: calls and streams reach the server in the same way."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from socket import socket

import pytest

from swallowtail.client import Client, ConnectionFailed, Event, TaskWebSocketClient
from swallowtail.client.socket_connection import SocketConnection
from tests.harness.deployment import Deployment
from tests.harness.proxies.proxy import CHUNK, Proxy

pytestmark = pytest.mark.journey


class TlsProxy(Proxy):
    """Decrypts connections with a self-signed certificate and passes them on."""

    def __init__(self, port: int, certificate: Path, key: Path) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate, key)
        super().__init__(("127.0.0.1", port))
        self.url = f"https://127.0.0.1:{self.port}"

    def _take(self, client: socket, server: socket) -> None:
        self._start(self._decrypt, client, server)

    def _decrypt(self, client: socket, server: socket) -> None:
        with suppress(OSError):
            client = self._context.wrap_socket(client, server_side=True)
            self._start(self._pump, server, client)
            self._pump(client, server)
        self._end(client, server)

    def _pump(self, source: socket, target: socket) -> None:
        with suppress(OSError):
            while chunk := source.recv(CHUNK):
                target.sendall(chunk)
        self._end(source, target)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("tls")
    made = directory / "server.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-keyout", str(directory / "server.key"), "-out", str(made)]
    subprocess.run(command, check=True, capture_output=True)
    return made


@pytest.fixture
def proxy(shared_deployment: Deployment, certificate: Path) -> Iterator[TlsProxy]:
    with TlsProxy(shared_deployment.webs[0].port, certificate, certificate.with_suffix(".key")) as proxy:
        yield proxy


def check_streams(client: Client, instance: str) -> None:
    """Submit a task and receive its first event."""
    with client.watch(instance) as stream:
        task = client.submit("echo", {"message": "hi"}, instance=instance).task
        event = next(stream)
    assert isinstance(event, Event)
    assert (event.task_id, event.status) == (task.id, "SUBMITTED")


def never_by_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("swallowtail.client.stream.log_stream.FALLBACK_AFTER", 1e9)


@pytest.mark.parametrize("with_file", [True, False])
def test_calls_and_streams_use_tls(
    shared_deployment: Deployment,
    proxy: TlsProxy,
    certificate: Path,
    monkeypatch: pytest.MonkeyPatch,
    with_file: bool,
) -> None:
    never_by_rest(monkeypatch)
    with Client(proxy.url, verify=str(certificate) if with_file else False) as client:
        check_streams(client, shared_deployment.new_instance())


def test_an_unknown_certificate_is_an_error_at_once(shared_deployment: Deployment, proxy: TlsProxy) -> None:
    with Client(proxy.url, timeout=600) as client, pytest.raises(ConnectionFailed, match="certificate"):
        client.submit("echo", {}, instance="demo")
    connection = SocketConnection(lambda name, payload: None, ssl.create_default_context())
    with pytest.raises(ConnectionFailed):
        connection.open(proxy.url, None, 10)


@pytest.mark.long
def test_calls_and_streams_below_a_path(
    new_deployment: Callable[..., Deployment], monkeypatch: pytest.MonkeyPatch
) -> None:
    never_by_rest(monkeypatch)
    deployment = new_deployment(env={"url_prefix": "/some/agents"})
    url = f"{deployment.start_web().url}/some/agents/"
    with Client(url) as client:
        check_streams(client, deployment.new_instance())
    socketio = TaskWebSocketClient(url)
    socketio.connect()
    socketio.disconnect()
