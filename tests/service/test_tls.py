"""Redis with TLS: every client and the broker connection verify its certificate in the same way."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery
from kombu.exceptions import OperationalError

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.ledger.outbox import make_sender
from swallowtail.app.core.redis.connection import connect
from swallowtail.workers.celery_app import CheckedAMQP, worker_settings
from tests.harness.program import Program, make_directory
from tests.harness.services import require
from tests.harness.settings import make_settings
from tests.harness.system.ports import answers, free_port

Reach = Callable[[Settings], object]


class TlsRedis(Program):
    """A Redis with TLS only, a password and a self-signed certificate."""

    def __init__(self, directory: Path, name: str) -> None:
        self.port = free_port()
        self.certificate = directory / "server.pem"
        key = directory / "server.key"
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        command += ["-days", "2", "-subj", "/CN=test", "-addext", f"subjectAltName={name}"]
        command += ["-keyout", str(key), "-out", str(self.certificate)]
        subprocess.run(command, check=True, capture_output=True)
        tls = ["--tls-port", str(self.port), "--tls-cert-file", str(self.certificate), "--tls-key-file", str(key)]
        tls += ["--tls-ca-cert-file", str(self.certificate), "--tls-auth-clients", "no", "--bind", "127.0.0.1"]
        plain = ["--port", "0", "--requirepass", "secret", "--save", "", "--dir", str(directory)]
        super().__init__("redis", [require("redis-server"), *plain, *tls], log=directory / "redis.log", cwd=directory)

    def ready(self) -> bool:
        return answers(self.port)

    def settings(self, query: str = "") -> Settings:
        url = f"rediss://:secret@127.0.0.1:{self.port}/0{query}"
        return make_settings(redis_url=url, broker_url=url)


def by_client(settings: Settings) -> object:
    """Connect as our Redis clients do."""
    with connect(settings) as client:
        return client.ping()


def by_relay(settings: Settings) -> object:
    """Connect as the relay does."""
    return _reach_broker(make_sender(settings))


def by_worker(settings: Settings) -> object:
    """Connect as a worker does."""
    app = Celery("worker", amqp=CheckedAMQP, set_as_current=False)
    app.conf.update(worker_settings(settings))
    return _reach_broker(app)


def _reach_broker(app: Celery) -> object:
    with app.connection_for_write() as connection:
        channel: Any = connection.default_channel
        return channel.client.ping()


WAYS = [by_client, by_relay, by_worker]


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[TlsRedis, TlsRedis]]:
    """A server whose certificate names its address, and one whose certificate names another."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    here, elsewhere = make_directory(), make_directory()
    with TlsRedis(here, "IP:127.0.0.1") as right, TlsRedis(elsewhere, "DNS:cache.example") as wrong:
        yield right, wrong
    for directory in (here, elsewhere):
        shutil.rmtree(directory, ignore_errors=True)


def is_reached(way: Reach, settings: Settings) -> bool:
    """Return whether the certificate is accepted and the server answers."""
    try:
        return bool(way(settings))
    except (redis.ConnectionError, OperationalError) as fault:
        if "certificate" not in str(fault).lower():
            raise
        return False


@pytest.mark.parametrize("way", WAYS)
def test_a_certificate_of_an_unknown_authority_is_refused(servers: tuple[TlsRedis, TlsRedis], way: Reach) -> None:
    for server in servers:
        assert not is_reached(way, server.settings())
        assert not is_reached(way, server.settings("?ssl_check_hostname=false"))
        assert is_reached(way, server.settings("?ssl_cert_reqs=none"))


@pytest.mark.parametrize("way", WAYS)
def test_the_name_in_a_certificate_counts_too(servers: tuple[TlsRedis, TlsRedis], way: Reach) -> None:
    right, wrong = servers
    assert is_reached(way, right.settings(f"?ssl_ca_certs={right.certificate}"))
    assert not is_reached(way, right.settings(f"?ssl_ca_certs={wrong.certificate}"))
    assert not is_reached(way, wrong.settings(f"?ssl_ca_certs={wrong.certificate}"))
    assert is_reached(way, wrong.settings(f"?ssl_ca_certs={wrong.certificate}&ssl_check_hostname=false"))


class TlsListener:
    """Performs a TLS handshake and then sends nothing: shows whether a client of RabbitMQ accepts the certificate."""

    def __init__(self, server: TlsRedis) -> None:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(server.certificate, server.certificate.with_name("server.key"))
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.received: list[bytes] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                sock, _ = self.listener.accept()
                with suppress(OSError), self.context.wrap_socket(sock, server_side=True) as line:
                    self.received.append(line.recv(100))

    def is_accepted(self, query: str) -> bool:
        """Return whether a client continues after the handshake."""
        url = f"amqps://web:secret@127.0.0.1:{self.port}//{query}"
        self.received.clear()
        with (
            make_sender(make_settings(broker_url=url)).connection_for_write() as connection,
            pytest.raises(OSError) as refused,  # noqa: PT011 - of TLS, or of a connection that ends
        ):
            connection.connect()
        assert bool(self.received) != ("certificate" in str(refused.value).lower()), refused.value
        return bool(self.received)


def test_rabbitmq_gets_the_same_verdict(servers: tuple[TlsRedis, TlsRedis]) -> None:
    right, wrong = servers
    for server, query, is_accepted in (
        (right, "", False),
        (right, f"?ssl_ca_certs={right.certificate}", True),
        (wrong, f"?ssl_ca_certs={wrong.certificate}", False),
        (wrong, f"?ssl_ca_certs={wrong.certificate}&ssl_check_hostname=false", True),
        (wrong, "?ssl_cert_reqs=none", True),
    ):
        listener = TlsListener(server)
        assert listener.is_accepted(query) is is_accepted, query
        listener.listener.close()
