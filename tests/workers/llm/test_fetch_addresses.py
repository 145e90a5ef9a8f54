"""The addresses, URLs and certificates that the document fetcher refuses."""

from __future__ import annotations

import ipaddress
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from swallowtail.testing import FakeContext
from swallowtail.workers.agents import social_campaign
from swallowtail.workers.agents.campaign.brief import CampaignInput
from swallowtail.workers.llm.connect import is_public
from swallowtail.workers.llm.fetch import fetch_document
from swallowtail.workers.run.outcomes import PermanentError
from tests.workers.llm.servers import serving
from tests.workers.llm.test_fetch import page, settings


@pytest.mark.parametrize(
    "url", ["http://localhost/", "http://127.0.0.1/", "http://[::1]/", "http://0.0.0.0/", "http://[::ffff:127.0.0.1]/"]
)
def test_this_machine_cannot_be_reached(url: str) -> None:
    with pytest.raises(PermanentError, match="private address") as failure:
        fetch_document(url, settings(fetch_allow_private=False))
    assert failure.value.code == "fetch_refused"


def test_a_refused_address_is_not_even_connected_to() -> None:
    with serving(page(b"secret")) as server:
        with pytest.raises(PermanentError, match="private address"):
            fetch_document(server.url, settings(fetch_allow_private=False))
        assert server.asked == []


def test_a_name_with_one_private_address_among_public_ones_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(host: str, port: int, **_: Any) -> list[Any]:
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in ("93.184.215.14", "10.0.0.1")
        ]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with pytest.raises(PermanentError, match=r"rebind\.example is at a private address"):
        fetch_document("http://rebind.example/", settings(fetch_allow_private=False))


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.215.14", True),
        ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", True),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("127.0.0.2", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),  # noqa: S104
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::", False),
        ("::1", False),
        ("fe80::1", False),
        ("fd00::1", False),
        ("ff02::1", False),
        ("::ffff:10.0.0.1", False),
        ("::ffff:93.184.215.14", False),
        ("::93.184.215.14", False),
        ("64:ff9b::a00:1", False),
        ("64:ff9b::5db8:d70e", False),
        ("64:ff9b:1::1", False),
        ("64:ff9b:1:ffff::5db8:d70e", False),
        ("fec0::1", False),
        ("feff::1", False),
        ("100::1", False),
        ("5f00::1", False),
        ("4000::1", False),
        ("1fff:ffff::1", False),
        ("2001::1", False),
        ("2001:1ff:ffff::1", False),
        ("2001:db8::1", False),
        ("2002:5db8:d70e::1", False),
        ("2620:4f:8000::1", False),
        ("3ffe::1", False),
        ("3fff::1", False),
        ("3fff:fff:ffff::1", False),
        ("2001:200::1", True),
        ("2a00:1450:4001::1", True),
        ("192.0.0.9", False),
        ("192.0.2.1", False),
        ("192.31.196.1", False),
        ("192.52.193.1", False),
        ("192.88.99.1", False),
        ("192.175.48.1", False),
        ("198.19.255.255", False),
        ("198.51.100.1", False),
        ("203.0.113.1", False),
        ("240.0.0.1", False),
        ("100.128.0.1", True),
        ("198.20.0.1", True),
    ],
)
def test_only_the_public_internet_is_public(address: str, public: bool) -> None:
    assert is_public(ipaddress.ip_address(address)) is public


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com:99999/",
        f"http://{'ü' * 70}.com/",
        f"http://{'ü' * 40_000}/",
        "http://a b/",
        "http://[1/",
        "",
    ],
)
def test_odd_urls_are_refused(url: str) -> None:
    with pytest.raises(PermanentError) as failure:
        fetch_document(url, settings())
    assert failure.value.code == "fetch_refused"


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A key and a self-signed certificate for `localhost`, in one file."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("the openssl command is not installed")
    file = tmp_path / "localhost.pem"
    files = ["-keyout", str(file), "-out", str(tmp_path / "cert.pem")]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *names, *files]
    subprocess.run(command, check=True, capture_output=True)
    file.write_bytes(file.read_bytes() + (tmp_path / "cert.pem").read_bytes())
    return file


def test_https_needs_a_certificate_for_that_name(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(page(b"private letter"), certificate=certificate) as server:
        with pytest.raises(PermanentError, match="certificate of localhost is not valid"):
            fetch_document(f"https://localhost:{server.port}/", settings())
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))  # trust it from here on
        assert fetch_document(f"https://localhost:{server.port}/", settings()).body == b"private letter"
        with pytest.raises(PermanentError, match=r"certificate of 127\.0\.0\.1 is not valid"):
            fetch_document(f"https://127.0.0.1:{server.port}/", settings())
        assert [asked.headers["host"] for asked in server.asked] == [f"localhost:{server.port}"]


def test_a_campaign_refuses_a_private_address() -> None:
    ctx = FakeContext()
    with pytest.raises(PermanentError, match="private address"):
        social_campaign.run(ctx, CampaignInput(brief_url="http://169.254.169.254/latest/meta-data/"))
    assert ctx.summary[-1] == ("read_source", "Researcher", "read_source", "failed")
