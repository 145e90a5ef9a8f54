"""The TLS parameters of a URL are read once, strictly, and servers are verified unless a parameter forbids it."""

from __future__ import annotations

import ssl
from typing import Any

import pytest

from swallowtail.app.core.config.tls import read_address
from tests.harness.settings import make_settings

VERIFIED = {"ssl_cert_reqs": "required", "ssl_check_hostname": True}


@pytest.mark.parametrize(
    ("query", "options"),
    [
        ("", VERIFIED),
        ("?ssl_cert_reqs=required", VERIFIED),
        ("?ssl_cert_reqs=CERT_REQUIRED", VERIFIED),
        ("?ssl_cert_reqs=optional", VERIFIED),
        ("?ssl_ca_certs=/etc/ca.pem", {**VERIFIED, "ssl_ca_certs": "/etc/ca.pem"}),
        ("?ssl_check_hostname=false", {**VERIFIED, "ssl_check_hostname": False}),
        ("?ssl_check_hostname=0", {**VERIFIED, "ssl_check_hostname": False}),
        ("?ssl_cert_reqs=none", {"ssl_cert_reqs": "none", "ssl_check_hostname": False}),
        ("?ssl_cert_reqs=CERT_NONE", {"ssl_cert_reqs": "none", "ssl_check_hostname": False}),
    ],
)
def test_a_server_is_verified_unless_the_url_says_otherwise(query: str, options: dict[str, Any]) -> None:
    address = read_address(f"rediss://:secret@cache.example:6380/1{query}")
    assert (address.url, address.redis_tls) == ("rediss://:secret@cache.example:6380/1", options)


@pytest.mark.parametrize(
    ("query", "options"),
    [
        ("", {"cert_reqs": ssl.CERT_REQUIRED, "server_hostname": None}),
        ("?ssl_ca_certs=/ca.pem", {"cert_reqs": ssl.CERT_REQUIRED, "server_hostname": None, "ca_certs": "/ca.pem"}),
        ("?ssl_check_hostname=no", {"cert_reqs": ssl.CERT_REQUIRED}),
        ("?ssl_cert_reqs=none", {"cert_reqs": ssl.CERT_NONE}),
    ],
)
def test_rabbitmq_is_verified_in_the_same_way(query: str, options: dict[str, Any]) -> None:
    assert read_address(f"amqps://u:p@rabbit.example//{query}").amqp_tls == options


@pytest.mark.parametrize(
    ("url", "bare"),
    [
        ("redis://c:1/0", "redis://c:1/0"),
        ("redis://:p@ss:w@c", "redis://:p@ss:w@c"),
        ("redis://u:p@c:1?db=3", "redis://u:p@c:1/3"),
        ("redis://c/?db=3", "redis://c/3"),
        ("redis://c/3?db=3", "redis://c/3"),
        ("rediss://c?ssl_cert_reqs=none&db=2", "rediss://c/2"),
        ("unix:///run/r.sock?db=3", "unix:///run/r.sock?db=3"),
        ("redis+socket:///r.sock?virtual_host=3", "redis+socket:///r.sock?virtual_host=3"),
        ("amqp://r//", "amqp://r//"),
    ],
)
def test_both_libraries_read_the_number_of_the_database(url: str, bare: str) -> None:
    assert read_address(url).url == bare


@pytest.mark.parametrize("name", ["redis_url", "broker_url"])
@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("redis://c/0?foo=1", "foo is unknown: after a [?] there may be db "),
        ("redis://c/0?socket_timeout=900", "socket_timeout is unknown"),
        ("redis://c/0?password=x", "password is unknown"),
        ("redis://c/0?connection_class=x", "connection_class is unknown"),
        ("rediss://c/0?protocol=3", "protocol is unknown: after a [?] there may be db, ssl_cert_reqs, "),
        ("rediss://c/0?virtual_host=3", "virtual_host is unknown"),
        ("redis://c/1?db=2", "must be the number of one database"),
        ("redis://c?db=1&db=2", "must be the number of one database"),
        ("redis://c?db=-1", "must be the number of one database"),
        ("redis://c?db=", "must be the number of one database"),
        ("redis://c?db=%C2%B2", "must be the number of one database"),
        ("unix:///r.sock?db=x", "must be the number of one database"),
        ("unix:///r.sock?path=/other", "path is unknown"),
    ],
)
def test_a_parameter_that_no_library_would_read_is_named_at_the_start(name: str, url: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        make_settings(**{name: url})


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("amqp://r//?heartbeat=10", "heartbeat is unknown: after a [?] there may be nothing"),
        ("amqps://r//?connection_timeout=5", "connection_timeout is unknown"),
        ("amqps://r//?login_method=PLAIN", "login_method is unknown"),
        ("redis+socket:///r.sock?db=1", "db is unknown"),
    ],
)
def test_an_unusable_url_of_a_broker_is_refused(url: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        make_settings(broker_url=url)


@pytest.mark.parametrize("name", ["redis_url", "broker_url"])
@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("rediss://c?ssl_cert_reqs=requierd", "ssl_cert_reqs must be one of"),
        ("rediss://c?ssl_cert_reqs=", "ssl_cert_reqs must be one of"),
        ("rediss://c?ssl_check_hostname=maybe", "ssl_check_hostname must be one of"),
        ("rediss://c?ssl_verify=none", "ssl_verify is unknown"),
        ("rediss://c?SSL_CERT_REQS=required", "SSL_CERT_REQS is unknown"),
        ("rediss://c?ssl=0", "ssl is unknown"),
        ("rediss://c?tls_verify=false", "tls_verify is unknown"),
        ("rediss://c?ssl_cert_reqs=required&ssl_cert_reqs=none", "repeated"),
        ("rediss://c?ssl_cert_reqs=none;redis://d", "must name one server"),
        ("redis://c?ssl=true", "ssl is unknown"),
        ("redis://c?ssl_cert_reqs=none", "needs a URL that begins with rediss://"),
    ],
)
def test_an_unreadable_tls_option_is_refused_and_not_ignored(name: str, url: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        make_settings(**{name: url})


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("amqps://r?ssl=0", "ssl is unknown"),
        ("amqp://r?ssl=1", "ssl is unknown"),
        ("amqps://r//;amqp://other//", "must name one server"),
        ("amqps://u:p;q@r//", "no semicolon"),
    ],
)
def test_the_tls_options_of_a_brokers_url_cannot_be_bypassed(url: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        make_settings(broker_url=url)
