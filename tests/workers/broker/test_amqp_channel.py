"""Messages from RabbitMQ whose properties or addresses py-amqp cannot decode are read without these."""

from __future__ import annotations

from struct import pack
from typing import Any

import pytest

from swallowtail.workers.broker.amqp_channel import read_frames

#: A delivery: consumer tag "t", a delivery tag, not redelivered; exchange and routing key follow.
DELIVERY = pack(">HHB1sQB", 60, 60, 1, b"t", 7, 0)


def short(text: bytes) -> bytes:
    return pack(">B", len(text)) + text


def table(*items: bytes) -> bytes:
    whole = b"".join(items)
    return pack(">I", len(whole)) + whole


def nested(depth: int) -> bytes:
    inner = table()
    for _ in range(depth):
        inner = table(short(b"a") + b"F" + inner)
    return inner


CONTENT_TYPE, ENCODING, HEADERS, TIMESTAMP = 0x8000, 0x4000, 0x2000, 0x0040
ODD = {
    "a type that is no text": pack(">H", CONTENT_TYPE) + short(b"\xff"),
    "an encoding that is no text": pack(">H", ENCODING) + short(b"\xc3("),
    "a moment in the far future": pack(">H", HEADERS) + table(short(b"a") + b"T" + pack(">Q", 2**63)),
    "a moment in the year 30,000": pack(">H", HEADERS) + table(short(b"a") + b"T" + pack(">Q", 10**12)),
    "an unknown type": pack(">H", HEADERS) + table(short(b"a") + b"?"),
    "tables in tables": pack(">H", HEADERS) + nested(5000),
    "a table that ends early": pack(">H", HEADERS) + pack(">I", 100) + short(b"a") + b"I",
    "flags without values": pack(">H", 0xFFF8),
}


def deliver(properties: bytes, exchange: bytes = b"", key: bytes = b"swallowtail") -> tuple[Any, ...]:
    """Return the method and the message that py-amqp reads from these frames."""
    calls: list[Any] = []

    class Connection:
        bytes_recv = 0

    receive = read_frames(Connection(), lambda *args: calls.append(args))
    receive((1, 1, DELIVERY + short(exchange) + short(key)))
    receive((2, 1, pack(">HxxQ", 60, 2) + properties))
    receive((3, 1, b"[]"))
    [(_, _, method, message)] = calls
    return method, message


@pytest.mark.parametrize("properties", list(ODD.values()), ids=list(ODD))
def test_properties_that_cannot_be_read_are_left_out(properties: bytes) -> None:
    _, message = deliver(properties)
    assert (message.properties, message.body) == ({}, b"[]")


@pytest.mark.parametrize(("exchange", "key"), [(b"\xff", b"a"), (b"a", b"\xff"), (b"\xed\xa0", b"")])
def test_an_address_that_cannot_be_read_is_left_out(exchange: bytes, key: bytes) -> None:
    method, _ = deliver(pack(">H", 0), exchange, key)
    assert method == DELIVERY + b"\0\0"


def test_everything_else_is_unchanged() -> None:
    properties = pack(">H", CONTENT_TYPE | HEADERS | TIMESTAMP) + short(b"a/b")
    properties += table(short(b"x") + b"S" + pack(">I", 1) + b"y") + pack(">Q", 2**63)
    method, message = deliver(properties, b"e", "ü".encode())
    assert method == DELIVERY + short(b"e") + short("ü".encode())
    assert message.properties["content_type"] == "a/b"
    assert message.properties["application_headers"] == {"x": "y"}
