"""Invalid packets become events with an error; none of them raises or blocks the connection."""

from __future__ import annotations

from typing import Any

import pytest
from socketio import packet as stock

from swallowtail.app.core.errors import InvalidInput, SwallowtailError, TooLarge
from swallowtail.app.web.engineio.packets import (
    INVALID_EVENT,
    Ack,
    CheckedPacket,
    InvalidPacket,
    PacketJson,
    make_packet_class,
)
from tests.harness.settings import make_settings

LIMIT = 2000


@pytest.fixture
def packet_class() -> type[CheckedPacket]:
    checked = make_packet_class(make_settings(max_body_bytes=LIMIT))
    checked.json = PacketJson
    return checked


def read(packet_class: type[CheckedPacket], text: Any) -> CheckedPacket:
    return packet_class(encoded_packet=text)


def error_of(packet: CheckedPacket) -> SwallowtailError:
    assert packet.data[0] == INVALID_EVENT
    assert isinstance(packet.data[1], SwallowtailError)
    return packet.data[1]


def test_an_event_has_its_acknowledgement_id_as_last_argument(packet_class: type[CheckedPacket]) -> None:
    packet = read(packet_class, '27["subscribe_instance",{"instance_id":"demo"}]')
    assert (packet.packet_type, packet.id) == (stock.EVENT, None)
    assert packet.data == ["subscribe_instance", {"instance_id": "demo"}, Ack(7)]
    assert read(packet_class, '2["x"]').data == ["x"]


def test_other_packets_are_read_as_by_the_library(packet_class: type[CheckedPacket]) -> None:
    for text in ('0{"token":"x"}', "0", "1", "0/admin,{}", '35["ok"]', "1/admin,"):
        ours, theirs = read(packet_class, text), stock.Packet(encoded_packet=text)
        assert (ours.packet_type, ours.namespace, ours.id, ours.data) == (
            theirs.packet_type,
            theirs.namespace,
            theirs.id,
            theirs.data,
        )


def test_a_binary_acknowledgement_without_attachments_does_not_wait_for_any(packet_class: type[CheckedPacket]) -> None:
    packet = read(packet_class, "6")
    assert packet.packet_type == stock.ACK
    error_of(packet)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "9",
        "2",
        "2{}",
        "2[]",
        "2[true]",
        "2[null]",
        '2[["x"]]',
        '2"x"',
        "2[",
        '2["x",',
        '2["x",NaN]',
        "2garbage",
        '2["x",' + "[" * 1500,
        '2["x",' + "[" * 900 + "]" * 900 + "]garbage",
        '2["connect",{}]',
        '2["disconnect"]',
        '4{"message":"no"}',
        "5",
        '5-["x"]',
        '50-["x",{"_placeholder":true,"num":0}]',
        '599-["x"]',
        '599999999999-["x"]',
        "2" + "1" * 150 + '["x"]',
        [],
        {},
        {"a": 1},
        ["x"],
        7,
        b"\x00\x01",
    ],
)
def test_an_invalid_packet_becomes_an_error_event(packet_class: type[CheckedPacket], text: Any) -> None:
    packet = read(packet_class, text)
    assert packet.packet_type == stock.EVENT
    assert isinstance(error_of(packet), InvalidInput)
    assert packet.attachment_count == 0


def test_an_oversized_packet_is_refused_and_keeps_its_acknowledgement_id(packet_class: type[CheckedPacket]) -> None:
    packet = read(packet_class, '212["x","' + "a" * LIMIT + '"]')
    assert isinstance(error_of(packet), TooLarge)
    assert packet.data[2:] == [Ack(12)]
    assert isinstance(error_of(read(packet_class, '2["x","' + "\u20ac" * (LIMIT // 3) + '"]')), TooLarge)
    assert isinstance(error_of(read(packet_class, "7" * LIMIT * 2)), TooLarge)


def test_a_packet_with_broken_json_keeps_its_acknowledgement_id(packet_class: type[CheckedPacket]) -> None:
    assert read(packet_class, '25["x",').data[2:] == [Ack(5)]


@pytest.mark.parametrize("text", ["0{broken", "0[]", '0"token"'])
def test_a_connect_packet_with_broken_authentication_is_invalid(packet_class: type[CheckedPacket], text: str) -> None:
    packet = read(packet_class, text)
    assert packet.packet_type == stock.CONNECT
    assert isinstance(packet.data, InvalidPacket)


def test_a_connect_packet_with_oversized_authentication_has_none(packet_class: type[CheckedPacket]) -> None:
    packet = read(packet_class, '0{"token":"' + "a" * LIMIT + '"}')
    assert (packet.packet_type, packet.data) == (stock.CONNECT, None)


def test_the_name_of_an_event_may_be_a_number(packet_class: type[CheckedPacket]) -> None:
    assert read(packet_class, '2[1,"a"]').data == ["1", "a"]


def test_binary_attachments_are_added(packet_class: type[CheckedPacket]) -> None:
    packet = read(packet_class, '51-3["x",{"_placeholder":true,"num":0}]')
    assert packet.add_attachment(b"abc")
    assert packet.data == ["x", b"abc", Ack(3)]


@pytest.mark.parametrize(
    ("text", "attachment"),
    [
        ('51-3["x",{"_placeholder":true,"num":5}]', b"abc"),
        ('51-3["x",{"_placeholder":true,"num":"a"}]', b"abc"),
        ('51-3["x",{"_placeholder":true,"num":0}]', '2["y"]'),
    ],
)
def test_attachments_that_do_not_fit_become_an_error_event(
    packet_class: type[CheckedPacket], text: str, attachment: Any
) -> None:
    packet = read(packet_class, text)
    assert packet.add_attachment(attachment)
    assert isinstance(error_of(packet), InvalidInput)
    assert packet.data[2:] == [Ack(3)]


def test_json_is_compact_strict_and_never_fails_to_encode() -> None:
    assert PacketJson.dumps({"a": [1, None], "é": 2}, separators=(",", ":")) == '{"a":[1,null],"é":2}'
    assert PacketJson.dumps({1: float("nan")}) == '{"1":null}'
    assert PacketJson.dumps([2**70, "\ud800"]) == '[1180591620717411303424,"\\ud800"]'
    with pytest.raises(ValueError, match="char"):
        PacketJson.loads("[" * 10_000)
