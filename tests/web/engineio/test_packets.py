"""Packets that cannot be read become events that are refused; none of them makes the server deaf or raises."""

from __future__ import annotations

from typing import Any

import pytest
from socketio import packet as stock

from swallowtail.app.core.errors import InvalidInput, SwallowtailError, TooLarge
from swallowtail.app.web.engineio.packets import REFUSED, Ack, FastJson, Packet, Unreadable, make_packet_class
from tests.harness.settings import make_settings

LIMIT = 2000


@pytest.fixture
def packet_class() -> type[Packet]:
    made = make_packet_class(make_settings(max_body_bytes=LIMIT))
    made.json = FastJson
    return made


def read(packet_class: type[Packet], text: Any) -> Packet:
    return packet_class(encoded_packet=text)


def refusal(packet: Packet) -> SwallowtailError:
    assert packet.data[0] == REFUSED
    assert isinstance(packet.data[1], SwallowtailError)
    return packet.data[1]


def test_reads_an_event_and_hands_the_acknowledgement_over(packet_class: type[Packet]) -> None:
    packet = read(packet_class, '27["subscribe_instance",{"instance_id":"demo"}]')
    assert (packet.packet_type, packet.id) == (stock.EVENT, None)
    assert packet.data == ["subscribe_instance", {"instance_id": "demo"}, Ack(7)]
    assert read(packet_class, '2["x"]').data == ["x"]


def test_reads_what_is_not_an_event_as_the_stock_class_does(packet_class: type[Packet]) -> None:
    for text in ('0{"token":"x"}', "0", "1", "0/admin,{}", '35["ok"]', "1/admin,"):
        ours, theirs = read(packet_class, text), stock.Packet(encoded_packet=text)
        assert (ours.packet_type, ours.namespace, ours.id, ours.data) == (
            theirs.packet_type,
            theirs.namespace,
            theirs.id,
            theirs.data,
        )


def test_a_binary_acknowledgement_without_attachments_does_not_wait_for_any(packet_class: type[Packet]) -> None:
    packet = read(packet_class, "6")
    assert packet.packet_type == stock.ACK
    refusal(packet)


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
def test_refuses_what_cannot_be_read(packet_class: type[Packet], text: Any) -> None:
    packet = read(packet_class, text)
    assert packet.packet_type == stock.EVENT
    assert isinstance(refusal(packet), InvalidInput)
    assert packet.attachment_count == 0


def test_refuses_what_is_too_large_and_still_finds_where_the_answer_goes(packet_class: type[Packet]) -> None:
    packet = read(packet_class, '212["x","' + "a" * LIMIT + '"]')
    assert isinstance(refusal(packet), TooLarge)
    assert packet.data[2:] == [Ack(12)]
    assert isinstance(refusal(read(packet_class, '2["x","' + "\u20ac" * (LIMIT // 3) + '"]')), TooLarge)
    assert isinstance(refusal(read(packet_class, "7" * LIMIT * 2)), TooLarge)


def test_finds_where_the_answer_goes_when_the_json_is_broken(packet_class: type[Packet]) -> None:
    assert read(packet_class, '25["x",').data[2:] == [Ack(5)]


@pytest.mark.parametrize("text", ["0{broken", "0[]", '0"token"'])
def test_a_connection_with_broken_authentication_is_none(packet_class: type[Packet], text: str) -> None:
    packet = read(packet_class, text)
    assert packet.packet_type == stock.CONNECT
    assert isinstance(packet.data, Unreadable)


def test_a_connection_with_too_much_authentication_is_one_without(packet_class: type[Packet]) -> None:
    packet = read(packet_class, '0{"token":"' + "a" * LIMIT + '"}')
    assert (packet.packet_type, packet.data) == (stock.CONNECT, None)


def test_the_name_of_an_event_may_be_a_number(packet_class: type[Packet]) -> None:
    assert read(packet_class, '2[1,"a"]').data == ["1", "a"]


def test_takes_binary_attachments(packet_class: type[Packet]) -> None:
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
def test_attachments_that_do_not_fit_do_not_make_it_deaf(
    packet_class: type[Packet], text: str, attachment: Any
) -> None:
    packet = read(packet_class, text)
    assert packet.add_attachment(attachment)
    assert isinstance(refusal(packet), InvalidInput)
    assert packet.data[2:] == [Ack(3)]


def test_json_is_compact_strict_and_never_fails_to_encode() -> None:
    assert FastJson.dumps({"a": [1, None], "é": 2}, separators=(",", ":")) == '{"a":[1,null],"é":2}'
    assert FastJson.dumps({1: float("nan")}) == '{"1":null}'
    assert FastJson.dumps([2**70, "\ud800"]) == '[1180591620717411303424,"\\ud800"]'
    with pytest.raises(ValueError, match="char"):
        FastJson.loads("[" * 10_000)
