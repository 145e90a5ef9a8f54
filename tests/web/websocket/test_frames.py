"""Websocket frames are encoded by the protocol, and decoded however their bytes are split."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swallowtail.app.web.websocket.frames import (
    BINARY,
    CLOSE,
    FRAGMENT,
    INVALID_TEXT,
    PING,
    POLICY_VIOLATION,
    PROTOCOL_ERROR,
    TEXT,
    TOO_BIG,
    FrameError,
    FrameReader,
    pack,
    pack_close,
    payload_of,
    unmask,
)
from tests.harness.scaling import check_scaling

MASK = b"\x11\x22\x33\x44"


def client_frame(payload: bytes, kind: int = TEXT, *, final: bool = True, mask: bytes = MASK) -> bytes:
    """What a client sends: the frame of a server, masked."""
    head = bytearray(pack(payload, kind)[: len(pack(payload, kind)) - len(payload)])
    head[0] = (head[0] & 0x7F) | (0x80 if final else 0)
    head[1] |= 0x80
    return bytes(head) + mask + unmask(payload, mask)


def read_all(reader: FrameReader, *pieces: bytes) -> list[tuple[int, bytes]]:
    messages = []
    for piece in pieces:
        reader.feed(piece)
        while (message := reader.next()) is not None:
            if message[0] != FRAGMENT:
                messages.append(message)
    return messages


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, 100_000])
def test_a_frame_of_any_length_is_read_as_it_was_written(size: int) -> None:
    payload = os.urandom(size)
    assert payload_of(pack(payload)) == payload
    assert read_all(FrameReader(200_000), client_frame(payload, BINARY)) == [(BINARY, payload)]


@given(st.lists(st.binary(max_size=300), max_size=6), st.lists(st.integers(1, 40), min_size=1))
def test_it_does_not_matter_how_the_bytes_are_cut(payloads: list[bytes], cuts: list[int]) -> None:
    stream, pieces, place = b"".join(client_frame(payload) for payload in payloads), [], 0
    while stream:
        size = cuts[place % len(cuts)]
        pieces.append(stream[:size])
        stream, place = stream[size:], place + 1
    reader = FrameReader(1000)
    assert read_all(reader, *pieces) == [(TEXT, payload) for payload in payloads]
    assert reader.unread == 0


def test_a_fragmented_message_is_joined_and_control_frames_may_come_between() -> None:
    stream = (
        client_frame(b"one ", final=False)
        + client_frame(b"!", PING)
        + client_frame(b"two ", 0, final=False)
        + client_frame(b"three", 0)
        + client_frame(b"next")
    )
    assert read_all(FrameReader(1000), stream) == [(PING, b"!"), (TEXT, b"one two three"), (TEXT, b"next")]


@pytest.mark.parametrize(
    ("stream", "code"),
    [
        (pack(b"not masked"), PROTOCOL_ERROR),
        (b"\xc1\x80" + MASK, PROTOCOL_ERROR),
        (b"\x83\x80" + MASK, PROTOCOL_ERROR),
        (client_frame(b"continues nothing", 0), PROTOCOL_ERROR),
        (client_frame(b"one", final=False) + client_frame(b"another"), PROTOCOL_ERROR),
        (client_frame(b"", PING, final=False), PROTOCOL_ERROR),
        (client_frame(b"x" * 126, CLOSE), PROTOCOL_ERROR),
        (client_frame(b"", final=False), POLICY_VIOLATION),
        (client_frame(b"a", final=False) + client_frame(b"", 0, final=False), POLICY_VIOLATION),
        (client_frame(b"a", final=False) + client_frame(b"", 0), POLICY_VIOLATION),
        (b"\x81\xff" + (2**62).to_bytes(8, "big"), TOO_BIG),
        (client_frame(b"x" * 600, final=False) + client_frame(b"x" * 600, 0), TOO_BIG),
    ],
)
def test_a_frame_that_violates_the_protocol_or_the_limit_is_refused(stream: bytes, code: int) -> None:
    with pytest.raises(FrameError) as refused:
        read_all(FrameReader(1000), stream)
    assert refused.value.code == code


def test_the_frame_that_ends_a_connection_says_why() -> None:
    assert pack_close(INVALID_TEXT) == b"\x88\x02\x03\xef"


def test_every_fragment_is_returned_so_that_it_can_be_counted() -> None:
    reader = FrameReader(1000)
    reader.feed(b"".join([client_frame(b"a", final=False), client_frame(b"b", 0, final=False), client_frame(b"c", 0)]))
    assert [reader.next() for _ in range(4)] == [(FRAGMENT, b""), (FRAGMENT, b""), (TEXT, b"abc"), None]


def test_a_large_frame_in_small_pieces_takes_linear_time() -> None:
    """A frame of four times the size arrives in four times as many parts; no part copies what has arrived."""

    def read(text: bytes) -> None:
        frame, reader = client_frame(text), FrameReader(len(text))
        for place in range(0, len(frame), 16):
            reader.feed(frame[place : place + 16])
            message = reader.next()
        assert message == (TEXT, text)

    check_scaling(read, lambda size: b"x" * size, 100_000)
